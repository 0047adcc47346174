"""How many deliveries go to one receiver at a time, so that one that hangs does not take all places."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from antiphon.bus import Postponed

_WAIT_S = 0.5
"""How long a delivery waits for a place at a receiver that is quick, before it is put aside."""
_WAITING_PER_PLACE = 2
_SHORTEST_S = 0.1
_LONGEST_S = 600.0
_UNKNOWN_S = 0.5
"""Taken for the length of an attempt while none has been seen."""
_WEIGHT = 0.3
"""Of the latest attempt in the average."""
_SWEPT_ABOVE = 1_000


@dataclass(slots=True)
class Line:
    """The deliveries to one receiver: those in flight, and until when the places after them are promised."""

    places: asyncio.Semaphore
    held: int = 0
    """In flight, or waiting to be."""
    waiting: int = 0
    stuck: bool = False
    """Somebody has waited in vain, and no place has become free since."""
    pace_s: float = _UNKNOWN_S
    booked_until_s: float = 0.0

    def took(self, duration_s: float) -> None:
        """Learn how long an attempt at this receiver was."""
        self.pace_s += _WEIGHT * (duration_s - self.pace_s)


@dataclass(slots=True)
class Turns:
    """Gives each receiver at most `limit` places in this process."""

    limit: int
    clock: Callable[[], float] = time.monotonic
    _lines: dict[str, Line] = field(default_factory=dict)

    @asynccontextmanager
    async def take(self, receiver: str) -> AsyncIterator[Line]:
        """Hold a place while the block runs.

        Raises `Postponed` when none becomes free at once or soon, each time until a later place: a thousand deliveries
        that wait for one receiver must not all come back at the same moment.
        """
        line = self._line(receiver)
        line.held += 1
        try:
            await self._enter(line)
            try:
                yield line
            finally:
                line.stuck = False
                line.places.release()
        finally:
            line.held -= 1
            if self._is_idle(line):
                self._lines.pop(receiver, None)

    async def _enter(self, line: Line) -> None:
        if line.places.locked() and (line.stuck or line.waiting >= _WAITING_PER_PLACE * self.limit):
            raise Postponed(self._book(line))
        line.waiting += 1
        try:
            async with asyncio.timeout(_WAIT_S):
                await line.places.acquire()
        except TimeoutError:
            # The next ones need not try: who waits here takes a place from other receivers.
            line.stuck = True
            raise Postponed(self._book(line)) from None
        finally:
            line.waiting -= 1

    def _book(self, line: Line) -> float:
        now_s = self.clock()
        line.booked_until_s = max(line.booked_until_s, now_s) + line.pace_s / self.limit
        line.booked_until_s = min(line.booked_until_s, now_s + _LONGEST_S)
        return max(line.booked_until_s - now_s, _SHORTEST_S)

    def _line(self, receiver: str) -> Line:
        if receiver not in self._lines:
            if len(self._lines) >= _SWEPT_ABOVE:
                self._lines = {key: line for key, line in self._lines.items() if not self._is_idle(line)}
            self._lines[receiver] = Line(asyncio.Semaphore(self.limit))
        return self._lines[receiver]

    def _is_idle(self, line: Line) -> bool:
        return line.held == 0 and line.booked_until_s <= self.clock()
