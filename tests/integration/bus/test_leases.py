"""Who holds a job may end it; who has lost it may not fail it."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import pytest

from antiphon.bus import Bus
from antiphon.bus.keeping import Keeper
from antiphon.settings import BusSettings
from tests.chaos.fleet import WORKER, fleet
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Handler, make_job, make_settings, pending, result_of, serve
from tests.servers import Server

pytestmark = pytest.mark.integration


async def test_the_settle_of_a_worker_that_slept_through_its_lease_is_void(server: Server) -> None:
    settings = make_settings(server, lease=timedelta(seconds=1))
    job = make_job(metadata={"ms": "1500", "do": "ok"})
    async with fleet(server.url, WORKER, lease_s=1.0) as workers, Bus.open(settings) as bus, bus.caller() as caller:
        call = await caller.submit(job)
        await eventually(lambda: server.do("GET", f"exec:{job.id}") == b"1")
        workers.pick().send_signal(signal.SIGSTOP)
        peer = Handler()
        async with serve(bus, peer):
            outcome = await call.outcome()
            workers.pick().send_signal(signal.SIGCONT)
            late = make_job()
            server.do("XADD", STD, "*", "data", late.model_dump_json())
            await eventually(lambda: result_of(server, late.id))
        assert outcome.attempts == 2
        assert outcome.worker is not None
        workers.pick().terminate()
        await asyncio.to_thread(workers.pick().wait)
    assert result_of(server, job.id) == outcome
    assert pending(server) == 0


async def test_a_worker_that_lost_its_lease_cannot_fail_the_job_of_its_peer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Keeper) -> None:
        await asyncio.sleep(3600)

    settings = make_settings(server, lease=timedelta(seconds=1))
    sleeper, peer = Handler(hold=True, error=RuntimeError("broken by the pause")), Handler(hold=True)
    async with Bus.open(settings) as bus, bus.caller() as caller:
        with monkeypatch.context() as patched:
            patched.setattr(Keeper, "renew", never)
            patched.setattr(Keeper, "reclaim", never)
            stopped = serve(bus, sleeper)
            await stopped.__aenter__()
        try:
            call = await caller.submit(make_job())
            await eventually(lambda: sleeper.begun)
            async with serve(bus, peer):
                await eventually(lambda: peer.begun)
                sleeper.release.set()
                await eventually(lambda: server.commands().get("evalsha", 0) and not _held(sleeper))
                await asyncio.sleep(0.3)
                assert result_of(server, call.job_id) is None
                assert server.do("ZCARD", "jobs:{transcribe}:delayed") == 0
                peer.release.set()
                outcome = await call.outcome()
        finally:
            await stopped.__aexit__(None, None, None)
    assert outcome.status == "completed"


def _held(handler: Handler) -> bool:
    return not handler.release.is_set()


async def test_cancelling_one_job_leaves_another_alone_that_has_the_same_entry_id(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    one, two = make_job(), make_job()
    async with serve(bus, handler):
        server.do("XADD", "jobs:{transcribe}:hi", "100-1", "data", one.model_dump_json())
        server.do("XADD", STD, "100-1", "data", two.model_dump_json())
        await eventually(lambda: len(handler.begun) == 2)
        # Only renewal finds this wish: the control stream is what a worker may have missed.
        server.do("ZADD", "cancelled:{transcribe}", 10**14, one.id)
        assert (await eventually(lambda: result_of(server, one.id))).status == "cancelled"
        handler.release.set()
        assert (await eventually(lambda: result_of(server, two.id))).status == "completed"


async def test_a_dead_workers_job_is_found_behind_many_healthy_ones(server: Server) -> None:
    settings = make_settings(server, lease=timedelta(seconds=3))
    healthy = [make_job() for _ in range(150)]
    lost = make_job()
    busy = Handler(hold=True)
    async with Bus.open(settings) as bus:
        for job in healthy:
            server.do("XADD", STD, "*", "data", job.model_dump_json())
        async with serve(bus, busy, concurrency=150):
            await eventually(lambda: len(busy.begun) == 150)
            server.do("XADD", STD, "*", "data", lost.model_dump_json())
            server.do("XREADGROUP", "GROUP", "workers", "dead", "COUNT", 1, "STREAMS", STD, ">")
            async with serve(bus, Handler(), concurrency=1):
                assert (await eventually(lambda: result_of(server, lost.id), within_s=10)).attempts == 2
            busy.release.set()
            await eventually(lambda: len(busy.ended) == 150)
    assert len(busy.begun) == 150


async def test_what_a_dying_connection_took_along_is_run_by_a_peer(server: Server, settings: BusSettings) -> None:
    handler = Handler()
    jobs = [make_job() for _ in range(20)]
    async with Bus.open(settings) as bus, serve(bus, handler):
        for job in jobs:
            server.do("XADD", STD, "*", "data", job.model_dump_json())
            server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0.02)
        await eventually(lambda: all(result_of(server, job.id) for job in jobs))
    assert pending(server) == 0
