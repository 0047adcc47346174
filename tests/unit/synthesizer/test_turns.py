from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas import PRIORITIES, Priority
from services.synthesizer.turns import PATIENCE_S, Claim, Turns, next_claim

pytestmark = pytest.mark.unit

CLAIMS = st.lists(
    st.builds(
        Claim,
        priority=st.sampled_from(PRIORITIES),
        served_s=st.floats(0, 1000),
        asked_s=st.floats(0, 100),
        number=st.integers(0, 100),
    ),
    min_size=1,
)


@given(CLAIMS)
def test_no_turn_goes_past_a_more_urgent_job(claims: list[Claim]) -> None:
    chosen = next_claim(claims, now_s=100)
    assert PRIORITIES.index(chosen.priority) == min(PRIORITIES.index(claim.priority) for claim in claims)


def test_who_has_had_least_goes_first() -> None:
    long, short = Claim("std", served_s=20, asked_s=1), Claim("std", served_s=0, asked_s=2)
    assert next_claim([long, short], now_s=3) is short


def test_who_has_waited_too_long_goes_before_newcomers() -> None:
    long, short = Claim("std", served_s=20, asked_s=0), Claim("std", served_s=0, asked_s=PATIENCE_S)
    assert next_claim([long, short], now_s=PATIENCE_S) is long


async def _order(wishes: Iterable[tuple[str, Priority, float]]) -> list[str]:
    """Let all ask while somebody holds the turn, and return in which order they got it."""
    turns = Turns(clock=lambda: 0.0)
    order: list[str] = []

    async def ask(name: str, priority: Priority, served_s: float) -> None:
        async with turns.turn(priority=priority, served_s=served_s):
            order.append(name)

    async with asyncio.TaskGroup() as group, turns.turn(priority="std", served_s=0):
        for wish in wishes:
            group.create_task(ask(*wish))
        await asyncio.sleep(0)
        assert order == []
    return order


async def test_turns_go_by_priority_then_service_then_arrival() -> None:
    wishes: list[tuple[str, Priority, float]] = [
        ("batch", "bulk", 0),
        ("long", "std", 9),
        ("first", "std", 1),
        ("second", "std", 1),
        ("live", "hi", 99),
    ]
    assert await _order(wishes) == ["live", "first", "second", "long", "batch"]


async def test_who_gives_up_passes_the_turn_on() -> None:
    turns = Turns()
    got: list[str] = []

    async def ask(name: str) -> None:
        async with turns.turn(priority="std", served_s=0):
            got.append(name)

    async with asyncio.TaskGroup() as group:
        async with turns.turn(priority="std", served_s=0):
            leaving, staying = group.create_task(ask("leaving")), group.create_task(ask("staying"))
            await asyncio.sleep(0)
        leaving.cancel()  # the turn has just been given to it
    assert got == ["staying"]
    assert staying.done()
    async with asyncio.timeout(1), turns.turn(priority="bulk", served_s=0):
        pass


async def test_bulk_does_not_slip_in_between_the_pieces_of_a_job_that_is_waited_for() -> None:
    turns = Turns()
    order: list[str] = []

    async def piece(name: str, priority: Priority) -> None:
        async with turns.turn(priority=priority, served_s=0):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        with turns.stay("bulk"), turns.stay("std"):
            await piece("one", "std")
            batch = group.create_task(piece("batch", "bulk"))
            await asyncio.sleep(0)
            await piece("two", "std")
            await asyncio.sleep(0)
            await piece("three", "std")
            assert not batch.done()
    assert order == ["one", "two", "three", "batch"]


async def test_bulk_goes_on_when_a_job_leaves_without_a_turn() -> None:
    turns = Turns()
    with turns.stay("bulk"):
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            with turns.stay("hi"):
                batch = group.create_task(_hold(turns, "bulk"))
                await asyncio.sleep(0)
                assert not batch.done()


async def _hold(turns: Turns, priority: Priority) -> None:
    async with turns.turn(priority=priority, served_s=0):
        pass
