"""Who uses an engine next: jobs take turns, a piece each, so that a short one never waits for a long one to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
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

    @asynccontextmanager
    async def turn(self, *, priority: Priority, served_s: float) -> AsyncIterator[None]:
        """Wait for a turn and hold it."""
        await self._take(priority, served_s)
        try:
            yield
        finally:
            self._give()

    async def _take(self, priority: Priority, served_s: float) -> None:
        if not self._taken:
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
        if not self._waiting:
            self._taken = False
            return
        claim = next_claim(self._waiting, now_s=self._clock())
        self._waiting.pop(claim).set_result(None)
