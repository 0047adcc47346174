"""Streamed output: in order, by one attempt at a time, for a reader that may be slow."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import pytest

from antiphon.bus import Bus, Call, OutputEvent, Work
from antiphon.schemas import Job
from tests.chaos.fleet import WORKER, fleet
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Done, make_job, make_settings, pending, result_of, serve
from tests.servers import Server

pytestmark = pytest.mark.integration


async def read_all(call: Call) -> list[OutputEvent]:
    async with asyncio.timeout(60):
        return [event async for event in call.events()]


def words_of(events: list[OutputEvent]) -> list[bytes]:
    """Return what a client that heeds `reset` has at the end."""
    words: list[bytes] = []
    for event in events:
        if event.kind == "reset":
            words.clear()
        elif event.kind == "delta":
            words.append(event.data)
    return words


async def test_events_arrive_in_order_while_the_job_runs_and_end_with_the_outcome(server: Server, bus: Bus) -> None:
    heard = asyncio.Event()

    async def handle(job: Job, work: Work) -> Done:
        await work.emit("delta", b"first")
        await heard.wait()
        for i in range(100):
            await work.emit("delta", str(i).encode())
        await work.progress(1.0, 2.0)
        return Done()

    async with bus.caller() as caller, serve(bus, handle):
        call = await caller.submit(make_job(stream=True))
        events = []
        async for event in call.events():
            events.append(event)
            heard.set()
        assert (await asyncio.wait_for(call.outcome(), 1)).status == "completed"
    assert [event.seq for event in events] == list(range(103))
    assert words_of(events) == [b"first", *[str(i).encode() for i in range(100)]]
    assert [event.kind for event in events[-2:]] == ["progress", "outcome"]
    assert await eventually(lambda: not server.do("KEYS", "out:*"))


async def test_a_job_that_is_not_streamed_writes_no_output(server: Server, bus: Bus) -> None:
    async def handle(job: Job, work: Work) -> Done:
        await work.emit("delta", b"unheard")
        return Done()

    async with bus.caller() as caller, serve(bus, handle):
        call = await caller.submit(make_job())
        await call.outcome()
        with pytest.raises(ValueError, match="not streamed"):
            await anext(aiter(call.events()))
    assert server.do("KEYS", "out:*") == []


async def test_the_successor_of_a_killed_worker_opens_with_a_reset(server: Server) -> None:
    job = make_job(stream=True, metadata={"events": "40", "ms": "50"})
    async with (
        fleet(server.url, WORKER, lease_s=1.0) as workers,
        Bus.open(make_settings(server)) as bus,
        bus.caller() as caller,
    ):
        call = await caller.submit(job)
        reading = asyncio.create_task(read_all(call))
        await eventually(lambda: server.do("XLEN", f"out:{{transcribe}}:{job.id}") > 3)
        workers.pick().kill()
        workers.add(WORKER)
        events = await reading
    assert [event.kind for event in events].count("reset") == 1
    assert words_of(events) == [f"2:{i}".encode() for i in range(40)]
    assert [event.seq for event in events] == list(range(len(events)))


async def test_the_successor_of_a_drained_worker_opens_with_a_reset(server: Server) -> None:
    """A drained attempt is not counted, so its number cannot tell the two writers apart."""
    settings = make_settings(server, drain=timedelta(milliseconds=100), lease=timedelta(seconds=60))
    begun = asyncio.Event()
    go = asyncio.Event()

    async def handle(job: Job, work: Work) -> Done:
        await work.emit("delta", b"a")
        begun.set()
        await go.wait()
        await work.emit("delta", b"b")
        return Done()

    async with Bus.open(settings) as bus, bus.caller() as caller:
        async with serve(bus, handle):
            call = await caller.submit(make_job(stream=True))
            await begun.wait()
        go.set()
        async with serve(bus, handle):
            events = await read_all(call)
    assert words_of(events) == [b"a", b"b"]
    assert [event.kind for event in events] == ["delta", "reset", "delta", "delta", "outcome"]


async def test_a_retry_opens_with_a_reset(server: Server, bus: Bus) -> None:
    async def handle(job: Job, work: Work) -> Done:
        await work.emit("delta", b"x")
        if work.attempt < 3:
            raise RuntimeError("again")
        return Done()

    async with bus.caller() as caller, serve(bus, handle):
        events = await read_all(await caller.submit(make_job(stream=True)))
    assert [event.kind for event in events] == ["delta", "reset", "delta", "reset", "delta", "outcome"]


async def test_an_attempt_that_lost_its_lease_cannot_write(server: Server) -> None:
    """A worker is stopped past its lease in the middle of its output; when it wakes up, its successor is writing."""
    job = make_job(stream=True, metadata={"events": "40", "ms": "50"})
    async with (
        fleet(server.url, WORKER, lease_s=1.0) as workers,
        Bus.open(make_settings(server)) as bus,
        bus.caller() as caller,
    ):
        call = await caller.submit(job)
        reading = asyncio.create_task(read_all(call))
        await eventually(lambda: server.do("XLEN", f"out:{{transcribe}}:{job.id}") > 3)
        still = workers.pick()
        still.send_signal(signal.SIGSTOP)
        workers.add(WORKER)
        await eventually(lambda: server.do("GET", f"exec:{job.id}") == b"2")
        still.send_signal(signal.SIGCONT)
        events = await reading
    assert words_of(events) == [f"2:{i}".encode() for i in range(40)]
    assert [event.kind for event in events].count("reset") == 1


async def test_two_copies_of_a_streamed_job_do_not_speak_at_once(server: Server) -> None:
    settings = make_settings(server, lease=timedelta(seconds=1))
    job = make_job(stream=True)
    writers = 0

    async def handle(job: Job, work: Work) -> Done:
        nonlocal writers
        for i in range(20):
            await work.emit("delta", str(i).encode())
            await asyncio.sleep(0.03)
        writers += 1
        return Done()

    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, handle):
        call = await caller.submit(job)
        server.do("XADD", STD, "*", "data", job.model_dump_json(), "reply", "second")
        events = await read_all(call)
        assert words_of(events) == [str(i).encode() for i in range(20)]
        assert "reset" not in [event.kind for event in events]
        assert await eventually(lambda: server.do("XLEN", "replies:{transcribe}:second"))
        await eventually(lambda: pending(server) == 0)
    assert writers == 1


async def test_the_output_can_be_read_after_the_outcome(server: Server, bus: Bus) -> None:
    async def handle(job: Job, work: Work) -> Done:
        for i in range(100):
            await work.emit("delta", str(i).encode())
        return Done()

    async with bus.caller() as caller, serve(bus, handle):
        call = await caller.submit(make_job(stream=True))
        assert (await call.outcome()).status == "completed"
        assert call._reader._followers == {}, "who waits for the outcome alone keeps nothing"
        assert words_of(await read_all(call)) == [str(i).encode() for i in range(100)]


async def test_a_slow_reader_holds_little_and_misses_nothing(server: Server, bus: Bus) -> None:
    async def handle(job: Job, work: Work) -> Done:
        for _ in range(500):
            await work.emit("audio", bytes(10_000))
        return Done()

    most = count = 0
    async with bus.caller() as caller, serve(bus, handle):
        call = await caller.submit(make_job(stream=True))
        await eventually(lambda: result_of(server, call.job_id))
        assert call._follower is not None
        async for _ in call.events():
            count += 1
            most = max(most, len(call._follower.events))
            await asyncio.sleep(0.001)
    assert count == 501
    assert most <= 64


async def test_a_slow_readers_rest_survives_an_outage_longer_than_its_patience(own_server: Server) -> None:
    server = own_server

    async def handle(job: Job, work: Work) -> Done:
        for i in range(200):
            await work.emit("delta", str(i).encode())
        return Done()

    async with Bus.open(make_settings(server)) as bus, bus.caller() as caller, serve(bus, handle):
        call = await caller.submit(make_job(stream=True))
        await eventually(lambda: result_of(server, call.job_id))
        await eventually(call._reply.done)
        events = call.events()
        got = [await anext(events)]
        server.kill()
        rest = asyncio.create_task(read_rest(events))
        await asyncio.sleep(6.0)
        server.start()
        got += await rest
    assert words_of(got) == [str(i).encode() for i in range(200)]


async def read_rest(events: object) -> list[OutputEvent]:
    async with asyncio.timeout(60):
        return [event async for event in events]  # type: ignore[attr-defined]


async def test_a_cancelled_job_ends_its_output(server: Server, bus: Bus) -> None:
    stopped: list[bool] = []

    async def handle(job: Job, work: Work) -> Done:
        try:
            while True:
                await work.emit("delta", b"on and on")
                await asyncio.sleep(0.01)
        finally:
            stopped.append(work.stopped)

    async with bus.caller() as caller, serve(bus, handle):
        call = await caller.submit(make_job(stream=True))
        kinds = []
        async with asyncio.timeout(20):
            async for event in call.events():
                kinds.append(event.kind)
                if len(kinds) == 5:
                    await call.cancel()
        assert (await call.outcome()).status == "cancelled"
    assert kinds[-1] == "outcome"
    assert stopped == [True]


async def test_a_successor_goes_on_from_the_checkpoint(server: Server) -> None:
    settings = make_settings(server, drain=timedelta(milliseconds=100), lease=timedelta(seconds=60))
    seen: list[list[bytes]] = []
    saved = asyncio.Event()
    go = asyncio.Event()

    async def handle(job: Job, work: Work) -> Done:
        seen.append(await work.load_checkpoint())
        await work.save_checkpoint(b"a third", index=0)
        await work.save_checkpoint(b"half", index=1)
        saved.set()
        await go.wait()
        return Done()

    async with Bus.open(settings) as bus, bus.caller() as caller:
        async with serve(bus, handle):
            call = await caller.submit(make_job())
            await saved.wait()
        go.set()
        async with serve(bus, handle):
            assert (await call.outcome()).status == "completed"
    assert seen == [[], [b"a third", b"half"]]
    assert server.do("KEYS", "ckpt:*") == []
