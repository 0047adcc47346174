"""Bulk windows beside windows that somebody waits for."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Hashable, Sequence

import numpy as np
import pytest

from antiphon.errors import WeightsMissing
from antiphon.recognition.drivers import Drivers
from antiphon.recognition.engine import Decoded, Recognizer, Window
from antiphon.schemas import Priority

pytestmark = [pytest.mark.unit, pytest.mark.timeout(30)]

WINDOW = Window(samples=np.zeros(160, dtype=np.float32), lead=0, seek=0, frames=1, task="transcribe")


class Held:
    """An engine whose calls last until it is let go."""

    parallel = 2
    batch = 2
    languages = frozenset({"en"})

    def __init__(self, *, device: str = "cpu", held: bool = False) -> None:
        self.device = device
        self.windows = 0
        self.full = threading.Event()
        self.go = threading.Event()
        if not held:
            self.go.set()

    def tokens(self, text: str) -> tuple[int, ...]:
        return ()

    def likeness(self, window: Window) -> Hashable:
        return None

    def decode(self, windows: Sequence[Window]) -> list[Decoded]:
        self.windows += len(windows)
        if self.windows >= self.parallel:
            self.full.set()
        self.go.wait()
        return [Decoded(language="en", pieces=(), seek=window.seek + 1) for window in windows]


class Loader:
    """Gives one engine after the other, and notes in what thread."""

    def __init__(self, *engines: Recognizer | Exception) -> None:
        self._engines = iter(engines)
        self.policies: list[int] = []

    def __call__(self) -> Recognizer:
        if sys.platform == "linux":
            self.policies.append(os.sched_getscheduler(0))
        engine = next(self._engines)
        if isinstance(engine, Exception):
            raise engine
        return engine


async def decode(drivers: Drivers, job: str, priority: Priority) -> Decoded:
    driver = await drivers.of(priority)
    with driver.turns(job=job, priority=priority) as turn:
        return await turn.decode(WINDOW)


async def test_a_window_is_decoded_while_bulk_windows_have_every_call() -> None:
    prompt, bulk = Held(), Held(held=True)
    async with Drivers(Loader(prompt, bulk), apart=True) as drivers, asyncio.TaskGroup() as group:
        waiting = [group.create_task(decode(drivers, f"bulk-{n}", "bulk")) for n in range(8)]
        assert await asyncio.to_thread(bulk.full.wait, 10)
        await decode(drivers, "waiting", "std")
        await decode(drivers, "live", "hi")
        assert not any(task.done() for task in waiting)
        bulk.go.set()
    assert (prompt.windows, bulk.windows) == (2, 8)


async def test_the_copy_is_loaded_once_when_the_first_bulk_job_comes() -> None:
    load = Loader(Held(), Held())
    async with Drivers(load, apart=True) as drivers:
        await decode(drivers, "waiting", "std")
        await asyncio.gather(*(decode(drivers, f"bulk-{n}", "bulk") for n in range(5)))
    if sys.platform == "linux":
        assert load.policies == [os.SCHED_OTHER, os.SCHED_IDLE]


@pytest.mark.parametrize(("device", "apart"), [("cuda", True), ("cpu", False)])
async def test_there_may_be_no_copy(device: str, apart: bool) -> None:
    engine = Held(device=device)
    async with Drivers(Loader(engine), apart=apart) as drivers:
        await decode(drivers, "bulk", "bulk")
    assert engine.windows == 1


async def test_a_job_that_is_cancelled_meanwhile_leaves_the_copy_to_the_next() -> None:
    copy = Held()
    async with Drivers(Loader(Held(), copy), apart=True) as drivers:
        first = asyncio.create_task(decode(drivers, "first", "bulk"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await decode(drivers, "second", "bulk")
    assert copy.windows == 1


async def test_a_copy_that_could_not_be_loaded_is_tried_again() -> None:
    async with Drivers(Loader(Held(), WeightsMissing("gone"), Held()), apart=True) as drivers:
        with pytest.raises(WeightsMissing):
            await decode(drivers, "first", "bulk")
        await decode(drivers, "second", "bulk")
