"""A job that was submitted by a process which has died is joined by its successor, wherever it is by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from antiphon.bus import Bus, Call, Caller, OutputEvent, Work
from antiphon.schemas import Job, Outcome
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Done, Handler, make_job, make_settings, serve
from tests.servers import Server

pytestmark = pytest.mark.integration

WORDS = [b"%d" % i for i in range(100)]


class Reciting(Handler):
    """Emits words, and rests in the middle if it is told to hold."""

    async def __call__(self, job: Job, work: Work) -> Done:
        self.begun.append(job.id)
        for word in WORDS:
            if word == WORDS[50]:
                await self.release.wait()
            await work.emit("delta", word)
        return Done()


async def heard(call: Call) -> list[OutputEvent]:
    async with asyncio.timeout(20):
        return [event async for event in call.events(keep=True)]


def check_whole(events: list[OutputEvent]) -> None:
    assert [event.seq for event in events] == list(range(101))
    assert [event.data for event in events[:-1]] == WORDS
    assert [event.kind for event in events] == [*["delta"] * 100, "outcome"]
    assert Outcome.model_validate_json(events[-1].data).status == "completed"


async def die(caller: Caller, server: Server) -> None:
    """Lose a caller in the middle, as far as anybody else can tell."""
    await caller.close()
    server.do("DEL", f"replies:{{transcribe}}:{caller._name}")


async def test_a_job_that_has_ended_is_heard_again_and_not_done_again(server: Server, bus: Bus) -> None:
    handler, job = Reciting(), make_job(stream=True)
    async with serve(bus, handler), bus.caller() as first, bus.caller() as second:
        check_whole(await heard(await first.submit(job, resume=True)))
        call = await second.submit(job, resume=True)
        check_whole(await heard(call))
        call.discard_output()
        await eventually(lambda: server.do("EXISTS", f"out:{{transcribe}}:{job.id}") == 0)
    assert handler.begun == [job.id]


async def test_a_job_that_is_running_is_heard_from_its_beginning_and_not_begun_again(server: Server, bus: Bus) -> None:
    handler, job = Reciting(hold=True), make_job(stream=True)
    async with serve(bus, handler), bus.caller() as first, bus.caller() as second:
        dying = cast("AsyncGenerator[OutputEvent, None]", (await first.submit(job, resume=True)).events(keep=True))
        for _ in range(10):
            await anext(dying)
        await die(first, server)
        listening = asyncio.create_task(heard(await second.submit(job, resume=True)))
        await asyncio.sleep(0.3)
        handler.release.set()
        check_whole(await listening)
        await dying.aclose()
    assert handler.begun == [job.id]


async def test_a_job_that_nobody_has_begun_is_on_its_lane_once(server: Server, bus: Bus) -> None:
    handler, job = Reciting(), make_job(stream=True)
    async with bus.caller() as first, bus.caller() as second:
        await first.submit(job, resume=True)
        await die(first, server)
        call = await second.submit(job, resume=True)
        assert server.do("XLEN", STD) == 1
        async with serve(bus, handler):
            check_whole(await heard(call))
    assert handler.begun == [job.id]


async def test_a_job_that_was_never_submitted_is_submitted(bus: Bus) -> None:
    handler, job = Reciting(), make_job(stream=True)
    async with serve(bus, handler), bus.caller() as caller:
        check_whole(await heard(await caller.submit(job, resume=True)))
    assert handler.begun == [job.id]


async def test_one_process_may_take_over_from_itself(bus: Bus) -> None:
    handler, job = Reciting(hold=True), make_job(stream=True)
    async with serve(bus, handler), bus.caller() as caller:
        first = await caller.submit(job, resume=True)
        ended = asyncio.create_task(heard(first))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(heard(await caller.submit(job, resume=True)))
        await asyncio.sleep(0.1)
        ended.cancel()
        third = asyncio.create_task(heard(await caller.submit(job, resume=True)))
        handler.release.set()
        check_whole(await third)
        second.cancel()
    assert handler.begun == [job.id]


async def test_the_outcome_of_a_job_without_output_comes_to_its_second_caller_too(server: Server) -> None:
    handler, job = Handler(hold=True), make_job()
    async with Bus.open(make_settings(server)) as bus, serve(bus, handler), bus.caller() as first:
        await first.submit(job, resume=True)
        await eventually(lambda: handler.begun)
        async with bus.caller() as second:
            call = await second.submit(job, resume=True)
            handler.release.set()
            outcome = await asyncio.wait_for(call.outcome(), 2)
    assert outcome.status == "completed"
    assert handler.begun == [job.id]


async def test_an_output_that_was_discarded_still_has_its_outcome(bus: Bus) -> None:
    handler, job = Reciting(), make_job(stream=True)
    async with serve(bus, handler), bus.caller() as first, bus.caller() as second:
        call = await first.submit(job, resume=True)
        await heard(call)
        call.discard_output()
        again = await asyncio.wait_for(heard(await second.submit(job, resume=True)), 2)
    assert [event.kind for event in again] == ["outcome"]
    assert handler.begun == [job.id]


async def test_a_reader_that_is_interrupted_leaves_the_output_to_its_successor(server: Server, bus: Bus) -> None:
    handler, job = Reciting(hold=True), make_job(stream=True)
    async with serve(bus, handler), bus.caller() as first:
        listening = asyncio.create_task(heard(await first.submit(job, resume=True)))
        await eventually(lambda: server.do("XLEN", f"out:{{transcribe}}:{job.id}") == 50)
        listening.cancel()
        await asyncio.wait([listening])
        assert server.do("XLEN", f"out:{{transcribe}}:{job.id}") == 50
        assert not server.do("EXISTS", "cancelled:{transcribe}"), "who stops listening does not stop the job"
        handler.release.set()
        check_whole(await heard(await first.submit(job, resume=True)))
