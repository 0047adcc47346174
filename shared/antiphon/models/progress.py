"""How far a pull is, in bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class PullProgress:
    """`done` of `total` bytes are fetched; `doing` says what is going on."""

    done: int
    total: int
    doing: str


OnProgress = Callable[[PullProgress], None]


class Tally:
    """Adds up what several threads fetch and tells one listener, one call at a time."""

    def __init__(self, listener: OnProgress | None) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._now = PullProgress(0, 0, "looking")

    def expect(self, size: int) -> None:
        """Count `size` more bytes to fetch."""
        self._tell(total=size)

    def advance(self, size: int) -> None:
        """Count `size` bytes as fetched; a negative number takes back what had to be thrown away."""
        self._tell(done=size)

    def doing(self, what: str) -> None:
        """Say what is going on."""
        self._tell(doing=what)

    def _tell(self, *, done: int = 0, total: int = 0, doing: str | None = None) -> None:
        with self._lock:
            now = self._now
            self._now = PullProgress(now.done + done, now.total + total, doing or now.doing)
            if self._listener is not None:
                self._listener(self._now)
