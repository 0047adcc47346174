"""A run: callers come at random moments, whatever becomes of those before them; sessions are held beside them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from antiphon.planning import arrival_times
from tests.load.jobs import send_jobs
from tests.load.sessions import Talker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.bench.platform import Door
    from tests.load.callers import Callers
    from tests.load.options import Options


@dataclass
class Driver:
    """Lets requests begin when they are due. What a caller waits for never delays the next one."""

    door: Door
    callers: Callers
    options: Options

    async def run(self) -> None:
        """Go through all stages, then wait for what has been begun, up to `drain_s`.

        Cancelled, or after that time, what has no answer yet is counted as unfinished.
        """
        end_s = sum(stage.seconds for stage in self.options.stages)
        begun: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.TaskGroup() as group:
                for number, (kind, send) in enumerate(self._open().items()):
                    group.create_task(self._invite(kind, send, number, begun))
                for number, start_s in enumerate(self._session_starts()):
                    group.create_task(self._seat(number, start_s, end_s, begun))
            if begun:
                await asyncio.wait(begun, timeout=self.options.drain_s)
        finally:
            for task in begun:
                task.cancel()
            for task in begun:
                with suppress(asyncio.CancelledError):
                    await task

    def _open(self) -> dict[str, Callable[[float], Awaitable[None]]]:
        callers = self.callers
        return {
            "files": callers.file,
            "speech": callers.speech,
            "chat": callers.chat,
            "jobs": partial(send_jobs, callers, count=self.options.batch),
        }

    async def _invite(
        self, kind: str, send: Callable[[float], Awaitable[None]], number: int, begun: set[asyncio.Task[None]]
    ) -> None:
        rate_per_s = self.options.load[kind] / 60 / (self.options.batch if kind == "jobs" else 1)
        rng = Random(f"{self.options.seed} {kind}")
        for due_s in arrival_times(rng, rate_per_s=rate_per_s, stages=self.options.stages):
            await asyncio.sleep(max(0.0, due_s - self.callers.tally.now()))
            _begin(send(due_s), begun)

    def _session_starts(self) -> list[float]:
        """Return when each session is opened: as many at a time as the stage's part of them."""
        starts: list[float] = []
        at_s = 0.0
        for stage in self.options.stages:
            wanted = round(self.options.load["sessions"] * stage.part)
            starts += [at_s] * max(0, wanted - len(starts))
            at_s += stage.seconds
        return starts

    async def _seat(self, number: int, start_s: float, end_s: float, begun: set[asyncio.Task[None]]) -> None:
        await asyncio.sleep(max(0.0, start_s - self.callers.tally.now()))
        talker = Talker(
            door=self.door,
            tally=self.callers.tally,
            clips=self.callers.sounds.questions,
            model=self.callers.names.sessions,
            rng=Random(f"{self.options.seed} session {number}"),
            number=number,
        )
        _begin(talker.hold(end_s), begun)


def _begin(work: Awaitable[None], begun: set[asyncio.Task[None]]) -> None:
    task = asyncio.ensure_future(work)
    begun.add(task)
