"""The server is killed, emptied, filled or turned read-only under a working bus."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from antiphon.bus import Bus
from antiphon.errors import Unavailable
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Handler, make_job, make_settings, pending, result_of, serve
from tests.servers import Server

pytestmark = pytest.mark.integration


async def test_workers_and_callers_survive_a_killed_server_and_lose_nothing(own_server: Server) -> None:
    server = own_server
    settings = make_settings(server, lease=timedelta(seconds=30))
    handler = Handler(work_s=0.2)
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, handler, concurrency=4):
        calls = [await caller.submit(make_job()) for _ in range(20)]
        await eventually(lambda: len(handler.ended) >= 3)
        server.kill()
        with pytest.raises(Unavailable):
            await caller.submit(make_job())
        await asyncio.sleep(1.0)
        server.start()
        back = time.monotonic()
        outcomes = [await asyncio.wait_for(call.outcome(), 20) for call in calls]
        took_s = time.monotonic() - back
    assert {outcome.status for outcome in outcomes} == {"completed"}
    assert took_s < 8, "far less than a lease"


def _blocked(server: Server) -> list[str]:
    """Return the commands that wait for something."""
    with server.client() as client:
        return [each["cmd"] for each in client.client_list() if "b" in each["flags"]]


@pytest.mark.topologies("single")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with no room for more batch work"])
async def test_what_was_in_a_reply_that_was_cut_off_is_done_long_before_its_lease_ends(
    own_server: Server, busy: bool
) -> None:
    server = own_server
    handler = Handler()
    settings = make_settings(server, lease=timedelta(seconds=30))
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, handler, concurrency=4):
        assert (await (await caller.submit(make_job())).outcome()).status == "completed"
        handler.release.clear()
        before = [await caller.submit(make_job(), priority="bulk") for _ in range(3 if busy else 0)]
        await eventually(lambda: len(handler.begun) == 1 + len(before))
        await eventually(lambda: "xreadgroup" in _blocked(server))
        (worker,) = {each["name"] for each in server.describe("XINFO", "CONSUMERS", STD, "workers")}
        job = make_job()
        # At one stroke, before the worker's own read is served: the server has delivered, and nobody has heard.
        deliver = """redis.call('XADD', KEYS[1], '*', 'data', ARGV[2])
                     return redis.call('XREADGROUP', 'GROUP', 'workers', ARGV[1], 'STREAMS', KEYS[1], '>')"""
        server.do("EVAL", deliver, 1, STD, worker, job.model_dump_json())
        assert pending(server) == 1
        server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        back = time.monotonic()
        await eventually(lambda: job.id in handler.begun)
        took_s = time.monotonic() - back
        handler.release.set()
        await eventually(lambda: result_of(server, job.id))
        assert [(await call.outcome()).status for call in before] == ["completed"] * len(before)
    assert took_s < 10, "far less than a lease"
    assert handler.begun.count(job.id) == 1
    assert set(handler.attempts) == {1}
    assert pending(server) == 0


async def test_a_streamed_job_in_flight_when_the_server_dies_goes_on_at_once(own_server: Server) -> None:
    server = own_server
    settings = make_settings(server, lease=timedelta(seconds=60))
    emitted = asyncio.Event()
    go = asyncio.Event()

    class Streaming(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            await work.emit("delta", b"one")
            emitted.set()
            await go.wait()
            await work.emit("delta", b"two")
            return await super().__call__(job, work)

    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, Streaming()):
        call = await caller.submit(make_job(stream=True))
        await asyncio.wait_for(emitted.wait(), 10)
        server.kill()
        go.set()
        await asyncio.sleep(0.5)
        server.start()
        back = time.monotonic()
        text = b""
        async with asyncio.timeout(30):
            async for event in call.events():
                text = b"" if event.kind == "reset" else text + event.data if event.kind == "delta" else text
        took_s = time.monotonic() - back
    assert text == b"onetwo"
    assert took_s < 10


async def test_after_a_flush_the_workers_serve_again(server: Server) -> None:
    settings = make_settings(server)
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, Handler()):
        assert (await (await caller.submit(make_job())).outcome()).status == "completed"
        server.do("FLUSHALL")
        call = await caller.submit(make_job())
        assert (await asyncio.wait_for(call.outcome(), 20)).status == "completed"
        server.do("DEL", STD)
        call = await caller.submit(make_job())
        assert (await asyncio.wait_for(call.outcome(), 20)).status == "completed"


async def test_a_flush_under_a_running_job_frees_its_slot(server: Server) -> None:
    handler = Handler(hold=True)
    async with Bus.open(make_settings(server)) as bus, bus.caller() as caller, serve(bus, handler, concurrency=1):
        await caller.submit(make_job())
        await eventually(lambda: handler.begun)
        server.do("FLUSHALL")
        handler.release.set()
        call = await caller.submit(make_job())
        assert (await asyncio.wait_for(call.outcome(), 20)).status == "completed"


@pytest.mark.topologies("single")
async def test_a_server_that_turns_read_only_is_not_stormed_and_serves_again(own_server: Server) -> None:
    server = own_server
    handler = Handler()
    async with Bus.open(make_settings(server)) as bus, bus.caller() as caller, serve(bus, handler):
        assert (await (await caller.submit(make_job())).outcome()).status == "completed"
        server.do("REPLICAOF", "127.0.0.1", 1)
        await asyncio.sleep(1.0)
        before = sum(server.commands().values())
        await asyncio.sleep(4.0)
        rate = (sum(server.commands().values()) - before) / 4
        with pytest.raises(Unavailable):
            await caller.submit(make_job())
        server.do("REPLICAOF", "NO", "ONE")
        call = await caller.submit(make_job())
        assert (await asyncio.wait_for(call.outcome(), 20)).status == "completed"
    assert rate < 60


async def test_a_full_server_refuses_at_the_door_and_works_off_what_it_has(own_server: Server) -> None:
    server = own_server
    settings = make_settings(server)
    async with Bus.open(settings) as bus, bus.caller() as caller:
        calls = [await caller.submit(make_job()) for _ in range(10)]
        flaky = await caller.submit(make_job(metadata={"do": "flaky"}))

        class Flaky(Handler):
            async def __call__(self, job, work):  # type: ignore[no-untyped-def]
                if job.metadata and work.attempt == 1:
                    raise Unavailable("once")
                return await super().__call__(job, work)

        for priority in ("hi", "std", "bulk"):
            server.do("XGROUP", "CREATE", f"jobs:{{transcribe}}:{priority}", "workers", "0", "MKSTREAM")
        server.do("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(Unavailable) as refused:
            await caller.submit(make_job())
        assert refused.value.retry_after_s
        # A worker that starts now must start: only work makes room.
        async with serve(bus, Flaky()):
            for call in (*calls, flaky):
                assert (await asyncio.wait_for(call.outcome(), 20)).status == "completed"
            await eventually(lambda: server.do("XLEN", STD) <= 1)
            assert pending(server) == 0
            status = await bus.lanes()
            assert status["transcribe"].workers == 1
            server.do("CONFIG", "SET", "maxmemory", "0")
            assert (await (await caller.submit(make_job())).outcome()).status == "completed"
    assert server.leaks() == []


async def test_output_that_a_full_server_refuses_is_tried_again_later(own_server: Server) -> None:
    server = own_server

    class Streaming(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            if work.attempt == 1:
                server.do("CONFIG", "SET", "maxmemory", "1mb")
            else:
                server.do("CONFIG", "SET", "maxmemory", "0")
            await work.emit("delta", b"words")
            return await super().__call__(job, work)

    async with Bus.open(make_settings(server)) as bus, bus.caller() as caller, serve(bus, Streaming()):
        call = await caller.submit(make_job(stream=True))
        await eventually(lambda: server.do("ZCARD", "jobs:{transcribe}:delayed") == 1)
        due = float(server.do("ZRANGE", "jobs:{transcribe}:delayed", 0, -1, "WITHSCORES")[0][1])
        assert due > (time.time() + 5) * 1000, "not within milliseconds: a full server needs time"
        member = server.do("ZRANGE", "jobs:{transcribe}:delayed", 0, -1)[0]
        server.do("CONFIG", "SET", "maxmemory", "0")
        server.do("ZADD", "jobs:{transcribe}:delayed", 1, member)
        assert (await call.outcome()).status == "completed"


async def test_a_hung_server_is_waited_for(own_server: Server) -> None:
    server = own_server
    async with Bus.open(make_settings(server)) as bus, bus.caller() as caller, serve(bus, Handler()):
        assert (await (await caller.submit(make_job())).outcome()).status == "completed"
        server.suspend()
        submitting = asyncio.create_task(caller.submit(make_job()))
        await asyncio.sleep(1.0)
        server.resume()
        call = await submitting
        assert (await asyncio.wait_for(call.outcome(), 20)).status == "completed"


async def test_a_bus_that_cannot_be_reached_says_so(tmp_path: object) -> None:
    from antiphon.settings import BusSettings

    async with Bus.open(BusSettings(redis_url="unix:///nowhere/at/all")) as bus, bus.caller() as caller:
        with pytest.raises(Unavailable):
            await bus.ping()
        with pytest.raises(Unavailable):
            await bus.lanes()
        with pytest.raises(Unavailable):
            await caller.submit(make_job())
        with pytest.raises(Unavailable):
            async with serve(bus, Handler()):
                pass
