"""Bytes that begin anew with each attempt at a job, and are sent once."""

from __future__ import annotations

from hashlib import blake2b

from antiphon.errors import Failure


class Interrupted(Failure):
    """What was sent cannot be continued."""

    def __init__(self) -> None:
        super().__init__("The connection to a worker was lost in mid-speech. Please try again.")


class Continued:
    """What was sent before is passed over when it comes again.

    The same text is spoken by the same bytes wherever it is spoken. A worker that speaks otherwise, because its
    machine counts otherwise or its version is another one, is found out before anything of it is sent.
    """

    def __init__(self) -> None:
        self._sent = blake2b()
        self._size = 0
        self._again = blake2b()
        self._left = 0

    @property
    def begun(self) -> bool:
        """Tell whether anything was sent."""
        return self._size > 0

    def restart(self) -> None:
        """Begin anew."""
        self._again, self._left = blake2b(), self._size

    def take(self, data: bytes) -> bytes:
        """Return what is new. Raises `Interrupted` when what came before it is not what was sent."""
        if not self._left:
            self._sent.update(data)
            self._size += len(data)
            return data
        known, new = data[: self._left], data[self._left :]
        self._again.update(known)
        self._left -= len(known)
        if self._left:
            return b""
        if self._again.digest() != self._sent.digest():
            raise Interrupted
        return self.take(new)

    def finish(self) -> None:
        """Note the end. Raises `Interrupted` when there is less than was sent."""
        if self._left:
            raise Interrupted
