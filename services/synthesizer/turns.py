"""Who uses an engine next: jobs take turns, a piece each, so that a short one never waits for a long one to end.

Between its pieces a job has no claim for a moment. Bulk jobs do not slip in: while a job that somebody waits for is
there, they wait, so that it waits for one piece of theirs at most, and not for one before each of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from antiphon.schemas import PRIORITIES, Priority

PATIENCE_S = 60.0
"""After so long a wait a job goes first among its priority, whatever it has had."""


@dataclass(frozen=True)
class Claim:
    """A wish for a turn: by a job that has had `served_s` seconds of the engine, since `asked_s` on the clock."""

    priority: Priority
    served_s: float
    asked_s: float
    number: int = 0


def next_claim(claims: Collection[Claim], *, now_s: float) -> Claim:
    """Choose who goes next: by priority, then who has waited too long, then who has had least, then who asked first.

    A new job has had nothing, so it waits for no more than the turn in progress and other new ones.
    """
    return min(claims, key=lambda claim: _rank(claim, now_s))


def _rank(claim: Claim, now_s: float) -> tuple[int, bool, float, float, int]:
    patient = now_s - claim.asked_s < PATIENCE_S
    served_s = claim.served_s if patient else 0.0
    return PRIORITIES.index(claim.priority), patient, served_s, claim.asked_s, claim.number


class Turns:
    """Hands out one turn at a time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken = False
        self._asked = 0
        self._waiting: dict[Claim, asyncio.Future[None]] = {}
        self._awaited = 0

    @contextmanager
    def stay(self, priority: Priority) -> Iterator[None]:
        """Be there as a job of this priority while the block runs."""
        awaited = priority != "bulk"
        self._awaited += awaited
        try:
            yield
        finally:
            self._awaited -= awaited
            if not self._taken:
                self._give()

    @asynccontextmanager
    async def turn(self, *, priority: Priority, served_s: float) -> AsyncIterator[None]:
        """Wait for a turn and hold it."""
        await self._take(priority, served_s)
        try:
            yield
        finally:
            self._give()

    async def _take(self, priority: Priority, served_s: float) -> None:
        if not self._taken and self._may_go(priority):
            self._taken = True
            return
        self._asked += 1
        claim = Claim(priority, served_s, self._clock(), self._asked)
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[claim] = called
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._give()  # the turn came in the moment of giving up
            raise
        finally:
            self._waiting.pop(claim, None)

    def _give(self) -> None:
        claims = [claim for claim in self._waiting if self._may_go(claim.priority)]
        self._taken = bool(claims)
        if claims:
            self._waiting.pop(next_claim(claims, now_s=self._clock())).set_result(None)

    def _may_go(self, priority: Priority) -> bool:
        return priority != "bulk" or not self._awaited
