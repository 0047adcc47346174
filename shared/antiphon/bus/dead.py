"""Dead letters: jobs that were given up, with their original fields, error and trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from antiphon.bus.connection import pairs_of, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.bus.wire import salvage_id
from antiphon.errors import NotFound
from antiphon.schemas import PRIORITIES, Kind, Priority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from antiphon.bus.scripts import Scripts

_ADDED = (b"error", b"attempts", b"source", b"worker")
_PAGE = 100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was given up."""

    entry: str
    job_id: str
    error: str
    attempts: int
    priority: Priority
    fields: dict[bytes, bytes]
    """The entry as its producer wrote it, without earlier attempts."""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of one lane. Every method raises `Unavailable` when the bus is away."""

    scripts: Scripts
    kind: Kind

    async def list(self) -> AsyncIterator[DeadLetter]:
        """Yield all letters, the oldest first."""
        start = "-"
        while True:
            try:
                key = LaneKeys(self.kind).dead
                page: list[tuple[bytes, dict[bytes, bytes] | list[bytes]]] = await self.scripts.outbox.call(
                    "XRANGE", key, start, "+", "COUNT", _PAGE
                )
            except (RedisError, OSError) as error:
                raise unavailable(error) from error
            for entry, fields in page:
                yield _letter(entry, fields if isinstance(fields, dict) else pairs_of(fields))
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0].decode()}"

    async def replay(self, letter: DeadLetter) -> bool:
        """Put a job back on its lane under its own id, attempts reset; tell false when it has completed meanwhile.

        Raises `NotFound` when the letter is gone.
        """
        keys = LaneKeys(self.kind)
        names = (keys.dead, keys.jobs(letter.priority), keys.result(letter.job_id))
        # Whoever puts it back wants it done, however late.
        kept = {name: value for name, value in letter.fields.items() if name != b"deadline"}
        fields = [part for pair in {**kept, b"replayed": b"1"}.items() for part in pair]
        try:
            verdict = await self.scripts.run("replay", names, letter.entry, *fields)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        if verdict == 0:
            raise NotFound(f"There is no dead letter {letter.entry}.")
        return bool(verdict == 1)

    async def find(self, name: str) -> DeadLetter:
        """Return the letter with this entry or job id, the newest of several. Raises `NotFound`."""
        found = [letter async for letter in self.list() if name in {letter.entry, letter.job_id}]
        if not found:
            raise NotFound(f"There is no dead letter {name} on the lane {self.kind}.")
        return found[-1]

    async def drop(self, letter: DeadLetter) -> None:
        """Delete one letter."""
        try:
            # No group reads this stream, so there is no lag to be spoiled.
            await self.scripts.outbox.call("XDEL", LaneKeys(self.kind).dead, letter.entry)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def purge(self) -> int:
        """Delete all letters; return how many there were."""
        key = LaneKeys(self.kind).dead
        try:
            count: int = await self.scripts.outbox.call("XLEN", key)
            await self.scripts.outbox.call("UNLINK", key)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return count


def _letter(entry: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    source = fields.get(b"source", b"std").decode()
    return DeadLetter(
        entry=entry.decode(),
        job_id=salvage_id(fields, entry.decode()),
        error=fields.get(b"error", b"").decode(errors="replace"),
        attempts=int(fields.get(b"attempts", b"0")),
        priority=next((priority for priority in PRIORITIES if priority == source), "std"),
        fields={name: value for name, value in fields.items() if name not in _ADDED and name != b"attempt"},
    )
