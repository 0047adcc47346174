"""What is put on a lane is worked on, once, by whoever has a free hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from antiphon.bus import Bus
from antiphon.bus import line as line_module
from antiphon.schemas import Outcome
from antiphon.settings import BusSettings
from tests.eventually import eventually
from tests.integration.bus.conftest import (
    STD,
    Handler,
    lag,
    make_job,
    make_settings,
    pending,
    result_of,
    serve,
)
from tests.servers import Server

pytestmark = pytest.mark.integration


async def test_jobs_put_on_the_lane_before_the_first_worker_are_done(server: Server, bus: Bus) -> None:
    jobs = [make_job() for _ in range(5)]
    for job in jobs:
        server.do("XADD", STD, "*", "data", job.model_dump_json())
    async with serve(bus, Handler()):
        await eventually(lambda: all(result_of(server, job.id) for job in jobs))


async def test_a_restarted_worker_reads_new_jobs_and_does_not_spin(server: Server, settings: BusSettings) -> None:
    for _ in range(2):
        handler = Handler()
        async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, handler):
            call = await caller.submit(make_job())
            assert (await call.outcome()).status == "completed"
            await eventually(lambda: pending(server) == 0)
            server.do("CONFIG", "RESETSTAT")
            await asyncio.sleep(2.0)
            assert server.commands().get("xreadgroup", 0) < 40
            assert handler.begun == [call.job_id]


async def test_the_first_worker_does_not_hoard(server: Server, settings: BusSettings) -> None:
    jobs = [make_job() for _ in range(40)]
    one, two = Handler(work_s=0.05), Handler(work_s=0.05)
    async with Bus.open(settings) as bus:
        for job in jobs:
            server.do("XADD", STD, "*", "data", job.model_dump_json())
        async with serve(bus, one, concurrency=2), serve(bus, two, concurrency=2):
            await eventually(lambda: len(one.ended) + len(two.ended) == 40)
    assert min(len(one.ended), len(two.ended)) >= 12


async def test_a_worker_never_holds_more_than_its_slots(server: Server, settings: BusSettings) -> None:
    busy = most = 0

    class Counting(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            try:
                return await super().__call__(job, work)
            finally:
                busy -= 1

    jobs = [make_job() for _ in range(90)]
    async with Bus.open(settings) as bus:
        for i, job in enumerate(jobs):
            stream = f"jobs:{{transcribe}}:{('hi', 'std', 'bulk')[i % 3]}"
            server.do("XADD", stream, "*", "data", job.model_dump_json())
        handler = Counting(work_s=0.01)
        async with serve(bus, handler, concurrency=3):
            await eventually(lambda: len(handler.ended) == 90)
    assert most <= 3


async def test_a_quiet_lane_outlasts_the_socket_timeout(
    server: Server, settings: BusSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_module, "TIMEOUT_S", 2.5)
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, Handler()):
        await asyncio.sleep(3.5)
        assert (await (await caller.submit(make_job())).outcome()).status == "completed"
    assert "away" not in caplog.text


async def test_urgent_jobs_overtake_and_bulk_does_not_starve(server: Server, bus: Bus) -> None:
    order: list[str] = []

    class Noting(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            order.append(work.priority)
            return await super().__call__(job, work)

    for priority, count in (("bulk", 10), ("std", 20), ("hi", 40)):
        for _ in range(count):
            server.do("XADD", f"jobs:{{transcribe}}:{priority}", "*", "data", make_job().model_dump_json())
    async with serve(bus, Noting(), concurrency=1):
        await eventually(lambda: len(order) == 70)
    assert order.index("std") > 30, "urgent jobs first"
    assert order.count("bulk") == 10
    assert order.index("bulk") < 40, "a bulk job is taken while urgent ones wait"
    assert [p for p in order if p != "bulk"] == ["hi"] * 40 + ["std"] * 20


async def test_finished_jobs_are_trimmed_and_the_lag_stays_exact(server: Server, bus: Bus) -> None:
    handler = Handler()
    async with serve(bus, handler):
        for _ in range(300):
            server.do("XADD", STD, "*", "data", make_job().model_dump_json())
        await eventually(lambda: len(handler.ended) == 300)
        await eventually(lambda: server.do("XLEN", STD) <= 1)
        assert lag(server) == 0
        handler.release.clear()
        held = len(handler.begun) + 4
        for _ in range(7):
            server.do("XADD", STD, "*", "data", make_job().model_dump_json())
        await eventually(lambda: len(handler.begun) == held)
        tended = server.commands()["xtrim"]
        await eventually(lambda: server.commands()["xtrim"] > tended + 3)
        assert pending(server) == 4
        assert lag(server) == 3
        assert server.do("XLEN", STD) >= 7, "neither unread nor unfinished jobs are trimmed"
        handler.release.set()
        await eventually(lambda: len(handler.ended) == 307)


async def test_a_healthy_long_job_under_a_short_lease_runs_once(server: Server) -> None:
    settings = make_settings(server, lease=timedelta(seconds=1))
    one, two = Handler(work_s=3.5), Handler(work_s=3.5)
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, one), serve(bus, two):
        outcome = await (await caller.submit(make_job())).outcome()
    assert outcome.status == "completed"
    assert outcome.attempts == 1
    assert len(one.begun) + len(two.begun) == 1


async def test_a_drain_longer_than_the_lease_keeps_its_jobs(server: Server) -> None:
    settings = make_settings(server, lease=timedelta(seconds=1), drain=timedelta(seconds=20))
    slow, peer = Handler(work_s=3.5), Handler()
    async with Bus.open(settings) as bus, bus.caller() as caller:
        async with serve(bus, slow):
            call = await caller.submit(make_job())
            await eventually(lambda: slow.begun)
            entered = asyncio.create_task(_serve_until(bus, peer, call.outcome()))
        outcome = await entered
    assert outcome.attempts == 1
    assert peer.begun == []


async def _serve_until(bus: Bus, handler: Handler, waited: Awaitable[Outcome]) -> Outcome:
    async with serve(bus, handler):
        return await waited


async def test_a_stopping_worker_orphans_nothing(server: Server, settings: BusSettings) -> None:
    """Stopped again and again in a flood: what it read is done or with a peer at once, not a lease later."""
    settings = make_settings(server, lease=timedelta(seconds=60), drain=timedelta(milliseconds=50))
    done: set[str] = set()

    class Noting(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            result = await super().__call__(job, work)
            done.add(job.id)
            return result

    jobs = [make_job() for _ in range(200)]
    async with Bus.open(settings) as bus:

        async def flood() -> None:
            for job in jobs:
                server.do("XADD", STD, "*", "data", job.model_dump_json())
                await asyncio.sleep(0.005)

        feeding = asyncio.create_task(flood())
        while not feeding.done():
            async with serve(bus, Noting(work_s=0.03), concurrency=4):
                await asyncio.sleep(0.1)
        await feeding
        async with serve(bus, Noting(), concurrency=4):
            await eventually(lambda: all(result_of(server, job.id) for job in jobs), within_s=20)
    assert pending(server) == 0


async def test_a_job_that_outlasts_the_drain_is_finished_by_a_peer_at_once(server: Server) -> None:
    settings = make_settings(server, lease=timedelta(seconds=60), drain=timedelta(milliseconds=200))
    stuck, peer = Handler(hold=True), Handler()
    async with Bus.open(settings) as bus, bus.caller() as caller:
        async with serve(bus, stuck):
            call = await caller.submit(make_job())
            await eventually(lambda: stuck.begun)
        async with serve(bus, peer):
            outcome = await asyncio.wait_for(call.outcome(), 15)
    assert outcome.status == "completed"
    assert outcome.attempts == 1, "a drained attempt does not count"
    assert peer.begun == [call.job_id]


async def test_a_handed_back_job_is_taken_as_soon_as_a_busy_peer_has_a_slot(server: Server) -> None:
    settings = make_settings(server, lease=timedelta(seconds=60), drain=timedelta(milliseconds=100))
    leaving, busy = Handler(hold=True), Handler(hold=True)
    async with Bus.open(settings) as bus, bus.caller() as caller:
        async with serve(bus, leaving, concurrency=1):
            handed = await caller.submit(make_job())
            await eventually(lambda: leaving.begun)
            entered = serve(bus, busy, concurrency=1)
            await entered.__aenter__()
            other = await caller.submit(make_job())
            await eventually(lambda: busy.begun == [other.job_id])
        try:
            # Told of it while every slot is taken.
            await eventually(lambda: server.do("XLEN", "control:{transcribe}"))
            await asyncio.sleep(0.2)
            busy.release.set()
            assert (await asyncio.wait_for(handed.outcome(), 5)).status == "completed"
        finally:
            await entered.__aexit__(None, None, None)


async def test_empty_consumers_are_forgotten_and_holding_ones_kept(server: Server, bus: Bus) -> None:
    job = make_job()
    server.do("XGROUP", "CREATE", STD, "workers", "0", "MKSTREAM")
    server.do("XADD", STD, "*", "data", job.model_dump_json())
    server.do("XREADGROUP", "GROUP", "workers", "dead-holder", "COUNT", 1, "STREAMS", STD, ">")
    server.do("XGROUP", "CREATECONSUMER", STD, "workers", "dead-empty")
    names = (*[f"jobs:{{transcribe}}:{p}" for p in ("hi", "std", "bulk")],)
    for stream in (names[0], names[2]):
        server.do("XGROUP", "CREATE", stream, "workers", "0", "MKSTREAM")
    keys = (*names, *(f"{k}:{{transcribe}}" for k in ("delayed", "cancelled", "workers", "tended", "events")))
    await asyncio.sleep(0.05)
    await bus.scripts.run("tend", keys, 1, 10, 10_000, 60_000, 100)
    consumers = {c["name"] for c in server.describe("XINFO", "CONSUMERS", STD, "workers")}
    assert consumers == {b"dead-holder"}
    assert pending(server) == 1
