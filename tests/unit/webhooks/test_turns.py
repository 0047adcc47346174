"""Places at a receiver."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from antiphon.bus import Postponed
from services.webhooks.turns import Turns

pytestmark = pytest.mark.unit


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def delays(turns: Turns, receiver: str, count: int) -> list[float]:
    """Return for how long deliveries are put aside that find no place."""
    found = []
    for _ in range(count):
        with pytest.raises(Postponed) as postponed:
            async with turns.take(receiver):
                pass
        found.append(postponed.value.delay_s)
    return found


async def test_a_receiver_gets_so_many_places_and_another_one_its_own() -> None:
    turns = Turns(2)
    async with turns.take("a"), turns.take("a"):
        await delays(turns, "a", 2)
        async with turns.take("b"):
            pass
    async with turns.take("a"):
        pass


async def test_a_place_is_free_again_when_the_attempt_fails() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            async with turns.take("a"):
                raise RuntimeError


async def test_a_few_wait_for_a_receiver_that_is_quick() -> None:
    turns, most = Turns(2), 0

    async def deliver() -> None:
        nonlocal most
        async with turns.take("a") as line:
            most = max(most, line.held - line.waiting)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(deliver() for _ in range(6)))
    assert most == 2


async def test_nobody_waits_where_somebody_has_waited_in_vain() -> None:
    turns = Turns(1)
    async with turns.take("a"):
        await delays(turns, "a", 1)
        started_s = time.monotonic()
        await delays(turns, "a", 20)
        assert time.monotonic() - started_s < 0.3


async def test_the_wait_grows_with_those_who_wait() -> None:
    turns = Turns(2, clock=Clock())
    async with turns.take("a") as line, turns.take("a"):
        line.took(10.0)
        line.took(10.0)
        waits = await delays(turns, "a", 50)
    assert waits == sorted(waits)
    steps = [after - before for before, after in pairwise(waits)]
    assert all(step == pytest.approx(steps[0]) for step in steps)
    assert steps[0] > 2.0


async def test_no_wait_is_without_end() -> None:
    turns = Turns(1, clock=Clock())
    async with turns.take("a") as line:
        line.took(100.0)
        assert max(await delays(turns, "a", 200)) <= 600.0


async def test_receivers_that_are_done_with_are_forgotten() -> None:
    clock = Clock()
    turns = Turns(1, clock=clock)
    for number in range(1_500):
        async with turns.take(f"r{number}") as line:
            line.stuck = True
            await delays(turns, f"r{number}", 1)
        clock.now_s += 1
    assert len(turns._lines) < 1_100
