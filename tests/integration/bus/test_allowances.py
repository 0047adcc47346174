"""What is left of limits, by the server's own clock."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from antiphon.bus import Bus, Limits
from antiphon.schemas import Meter
from antiphon.settings import BusSettings
from tests.eventually import eventually
from tests.servers import Server

pytestmark = pytest.mark.integration

ACCOUNT = "key_0123456789abcdef"


async def test_as_many_requests_pass_as_the_limit_says_however_many_doors_ask(server: Server) -> None:
    limits = Limits(requests_per_minute=40)
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(Bus.open(BusSettings(redis_url=server.url))) for _ in range(4)]
        asked = [doors[number % 4].allowances.take(ACCOUNT, limits, hold_s=30) for number in range(200)]
        standings = await asyncio.gather(*asked)
    passed = [standing for standing in standings if standing.short is None]
    # One more comes back every 1.5 seconds.
    assert 40 <= len(passed) <= 42
    assert {standing.short for standing in standings} == {None, "requests"}
    refused = next(standing for standing in standings if standing.short)
    assert refused.requests is not None
    assert 0 < refused.requests.wait_s(1) <= 1.5
    assert 0 < server.do("PTTL", f"limits:{{{ACCOUNT}}}:level") <= 62_000


async def test_requests_come_back_bit_by_bit(server: Server) -> None:
    limits = Limits(requests_per_minute=600)
    async with Bus.open(BusSettings(redis_url=server.url)) as bus:
        for _ in range(600):
            await bus.allowances.take(ACCOUNT, limits, hold_s=30)
        standing = await bus.allowances.take(ACCOUNT, limits, hold_s=30)
        while standing.short is None:
            standing = await bus.allowances.take(ACCOUNT, limits, hold_s=30)
        assert standing.requests is not None
        wait_s = standing.requests.wait_s(1)
        assert 0 < wait_s <= 0.1
        await asyncio.sleep(wait_s + 0.002)
        assert (await bus.allowances.take(ACCOUNT, limits, hold_s=30)).short is None


async def test_to_look_takes_nothing(server: Server) -> None:
    limits = Limits(requests_per_minute=2, audio_seconds_per_minute=10, concurrency=1)
    async with Bus.open(BusSettings(redis_url=server.url)) as bus:
        for _ in range(5):
            standing = await bus.allowances.look(ACCOUNT, limits)
            assert standing.short is None
            assert standing.requests is not None
            assert standing.requests.remaining == 2
        assert not server.do("EXISTS", f"limits:{{{ACCOUNT}}}:level")


async def test_places_are_exact_and_free_again_when_left(server: Server) -> None:
    limits = Limits(concurrency=3)
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(Bus.open(BusSettings(redis_url=server.url))) for _ in range(3)]
        names = [f"r{number}" for number in range(30)]
        standings = await asyncio.gather(
            *(
                doors[number % 3].allowances.take(ACCOUNT, limits, running=name, hold_s=30)
                for number, name in enumerate(names)
            )
        )
        inside = [name for name, standing in zip(names, standings, strict=True) if standing.short is None]
        assert len(inside) == 3
        assert {standing.short for standing in standings if standing.short} == {"concurrency"}
        doors[0].allowances.leave(ACCOUNT, inside[0])
        doors[0].allowances.leave(ACCOUNT, inside[0])
        taken = [await doors[0].allowances.take(ACCOUNT, limits, running=name, hold_s=30) for name in ("a", "b")]
        assert [standing.short for standing in taken] == [None, "concurrency"]
        again = await doors[0].allowances.take(ACCOUNT, limits, running="a", hold_s=30)
        assert (again.short, again.running) == (None, 3)


async def test_places_of_a_dead_door_free_themselves_and_those_of_a_living_one_stay(server: Server) -> None:
    limits = Limits(concurrency=2)
    async with Bus.open(BusSettings(redis_url=server.url)) as bus:
        allowances = bus.allowances
        for name in ("dead", "alive"):
            assert (await allowances.take(ACCOUNT, limits, running=name, hold_s=0.3)).short is None

        async def refresh() -> None:
            while True:
                allowances.occupy(ACCOUNT, ["alive"], hold_s=0.3)
                await asyncio.sleep(0.05)

        refreshing = asyncio.create_task(refresh())
        assert (await allowances.take(ACCOUNT, limits, running="new", hold_s=0.3)).short == "concurrency"

        async def one_is_free() -> bool:
            return (await allowances.look(ACCOUNT, limits)).running == 1

        await eventually(one_is_free, within_s=5)
        await asyncio.sleep(0.4)
        assert (await allowances.look(ACCOUNT, limits)).running == 1
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)

        async def gone() -> bool:
            return not server.do("EXISTS", f"limits:{{{ACCOUNT}}}:running")

        await eventually(gone, within_s=5)


async def test_what_is_refused_for_one_reason_takes_nothing_for_another(server: Server) -> None:
    limits = Limits(requests_per_minute=10, concurrency=1)
    async with Bus.open(BusSettings(redis_url=server.url)) as bus:
        assert (await bus.allowances.take(ACCOUNT, limits, running="a", hold_s=30)).short is None
        for _ in range(20):
            assert (await bus.allowances.take(ACCOUNT, limits, running="b", hold_s=30)).short == "concurrency"
        standing = await bus.allowances.look(ACCOUNT, limits)
        assert standing.requests is not None
        assert standing.requests.remaining >= 9


async def test_audio_may_be_overdrawn_and_then_has_to_come_back(server: Server) -> None:
    limits, meter = Limits(audio_seconds_per_minute=60), Meter(account=ACCOUNT, seconds_per_minute=60)
    async with Bus.open(BusSettings(redis_url=server.url)) as bus:
        assert (await bus.allowances.take(ACCOUNT, limits, hold_s=30, needs_audio=True)).short is None
        level = await bus.allowances.charge(meter, 150)
        assert -90 <= level.remaining < -89
        assert 149 < level.reset_s <= 150
        standing = await bus.allowances.take(ACCOUNT, limits, hold_s=30, needs_audio=True)
        assert standing.short == "audio_seconds"
        assert (await bus.allowances.take(ACCOUNT, limits, hold_s=30)).short is None
        assert 149_000 < server.do("PTTL", f"limits:{{{ACCOUNT}}}:level") <= 151_000


async def test_a_job_is_charged_once(server: Server) -> None:
    meter = Meter(account=ACCOUNT, seconds_per_minute=60)
    async with Bus.open(BusSettings(redis_url=server.url)) as bus:
        for _ in range(3):
            bus.allowances.charge_job(meter, "job_1", 10)
        bus.allowances.charge_job(meter, "job_2", 5)
        level = await bus.allowances.charge(meter, 0)
        assert 14 < 60 - level.remaining <= 15


async def test_a_limit_that_lets_nothing_through_cannot_be_set() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(requests_per_minute=0)
