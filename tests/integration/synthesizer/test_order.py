"""Who is served when: the order of calls of a real engine and of what is written."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.blobs import Blobs
from antiphon.errors import Cancelled, DeadlineExceeded
from antiphon.models import Catalogue
from antiphon.schemas import SynthesizeJob, now_ms
from antiphon.settings import BlobSettings
from services.synthesizer.booth import Booth
from services.synthesizer.engines.hibari import Hibari
from services.synthesizer.handlers import Synthesize
from tests.integration.synthesizer.conftest import Desk, Recorded
from tests.values import Values

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

SENTENCES = [
    f"This is sentence number {word}." for word in ("one", "two", "three", "four", "five", "six", "seven", "eight")
]


def _job(text: str, *, deadline_ms: int | None = None) -> SynthesizeJob:
    return SynthesizeJob(text=text, model="hibari", voice="alloy", format="pcm", deadline_ms=deadline_ms)


def _booth(engine: Recorded) -> Booth:
    return Booth(engine, model="hibari", voices={"alloy": "heart"})


def _handler(booth: Booth) -> Synthesize:
    blobs = Blobs(BlobSettings(), Values())
    return Synthesize(catalogue=Catalogue.load(), booths={"hibari": booth}, blobs=blobs)


async def test_the_first_sentence_is_heard_before_the_last_is_spoken(hibari: Hibari) -> None:
    log: list[str] = []
    job = _job(" ".join(SENTENCES))
    async with _booth(Recorded(hibari, log=log)) as booth:
        log.clear()
        await _handler(booth)(job, Desk(job, log=log))
    assert [entry for entry in log if entry != "emit"] == SENTENCES
    assert log.index("emit") <= 3
    assert log.index("emit") < log.index(SENTENCES[-1])


async def test_a_cancelled_job_asks_for_no_more_than_what_is_under_way(hibari: Hibari) -> None:
    engine = Recorded(hibari)
    job = _job(" ".join(SENTENCES))
    desk = Desk(job)
    async with _booth(engine) as booth:
        engine.log.clear()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(_outcome(_handler(booth), job, desk))
            await asyncio.wait_for(desk.emitted.wait(), 10)
            desk.stop(Cancelled("The job was cancelled."))
            calls = len(engine.log)
        assert isinstance(running.result(), Cancelled)
        assert len(engine.log) <= calls + 1 < len(SENTENCES)


async def test_a_late_job_is_not_begun(hibari: Hibari) -> None:
    engine = Recorded(hibari)
    job = _job("Too late.", deadline_ms=now_ms() - 1)
    async with _booth(engine) as booth:
        engine.log.clear()
        assert isinstance(await _outcome(_handler(booth), job, Desk(job)), DeadlineExceeded)
    assert engine.log == []


async def test_a_short_job_waits_only_for_the_piece_in_progress(hibari: Hibari) -> None:
    log: list[str] = []
    engine = Recorded(hibari, log=log)
    long, short = _job(" ".join(SENTENCES)), _job("Short one.")
    desk = Desk(long)
    async with _booth(engine) as booth:
        log.clear()
        handler = _handler(booth)
        async with asyncio.TaskGroup() as group:
            group.create_task(handler(long, desk))
            await asyncio.wait_for(desk.emitted.wait(), 10)
            before = len(log)
            group.create_task(handler(short, Desk(short)))
    # One call may be under way and one may have been granted its turn in the same moment.
    assert log.index("Short one.") <= before + 2 < len(SENTENCES)


async def test_a_live_turn_overtakes_waiting_batches(hibari: Hibari) -> None:
    log: list[str] = []
    engine = Recorded(hibari, log=log)
    batches = [_job(" ".join(SENTENCES)) for _ in range(3)]
    live = _job("I am live.")
    desks = [Desk(job, priority="bulk") for job in batches]
    async with _booth(engine) as booth:
        log.clear()
        handler = _handler(booth)
        async with asyncio.TaskGroup() as group:
            for job, desk in zip(batches, desks, strict=True):
                group.create_task(handler(job, desk))
            await asyncio.wait_for(desks[0].emitted.wait(), 10)
            before = len(log)
            group.create_task(handler(live, Desk(live, priority="hi")))
    assert log.index("I am live.") <= before + 2


async def _outcome(handler: Synthesize, job: SynthesizeJob, desk: Desk) -> BaseException | None:
    try:
        await handler(job, desk)
    except (Cancelled, DeadlineExceeded) as error:
        return error
    return None
