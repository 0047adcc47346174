"""What a producer in Python is promised."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from antiphon import Producer
from antiphon.bus import Bus, Work
from antiphon.errors import ContentTooLarge, Overloaded, Unavailable
from antiphon.schemas import Delta, Job, SynthesizeJob, TranscribeJob
from antiphon.settings import BusSettings
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Done, Handler, make_job, make_settings, result_of, serve
from tests.servers import Server

pytestmark = pytest.mark.integration

BULK = "jobs:{transcribe}:bulk"


class Speaker:
    """Writes two pieces of output, then ends."""

    async def __call__(self, job: Job, work: Work) -> Done:
        await work.emit("delta", Delta(delta="one").model_dump_json().encode())
        await work.emit("delta", Delta(delta="two").model_dump_json().encode())
        return Done()


async def test_a_job_is_awaited_by_who_submits_it(bus: Bus, producer: Producer) -> None:
    async with serve(bus, Handler()):
        handle = await producer.submit(make_job())
        outcome = await handle.outcome()
    assert (outcome.id, outcome.status, outcome.result) == (handle.job_id, "completed", {"text": "done"})


async def test_a_job_is_awaited_by_who_knows_its_id(bus: Bus, producer: Producer, settings: BusSettings) -> None:
    job_id = await producer.publish(make_job(), priority="bulk")
    async with Producer.open(settings) as another, serve(bus, Handler()):
        assert (await another.outcome("transcribe", job_id, timeout_s=20)).status == "completed"


async def test_waiting_ends_in_time_and_the_job_goes_on(bus: Bus, producer: Producer) -> None:
    handler = Handler(hold=True)
    async with serve(bus, handler):
        handle = await producer.submit(make_job())
        with pytest.raises(TimeoutError):
            await handle.outcome(timeout_s=0.2)
        with pytest.raises(TimeoutError):
            await producer.outcome("transcribe", handle.job_id, timeout_s=0.1)
        handler.release.set()
        assert (await handle.outcome(timeout_s=20)).status == "completed"


async def test_the_same_idempotency_key_is_the_same_job(server: Server, producer: Producer) -> None:
    first, again = [await producer.publish(make_job(), idempotency_key="order 7") for _ in range(2)]
    assert first == again
    orders = [make_job(metadata={"order": str(n % 3)}) for n in range(6)]
    assert await producer.publish_many(orders, idempotency_key=lambda job: job.metadata["order"]) == 6
    assert (server.do("XLEN", STD), server.do("XLEN", BULK)) == (1, 3)


async def test_a_deadline_is_counted_from_now(bus: Bus, producer: Producer) -> None:
    job_id = await producer.publish(make_job(), expires_in_s=0.05)
    assert await producer.publish_many([make_job(id="late")], expires_in_s=0.05) == 1
    await asyncio.sleep(0.1)
    async with serve(bus, Handler()):
        for each in (job_id, "late"):
            assert (await producer.outcome("transcribe", each, timeout_s=20)).status == "expired"


async def test_a_submitted_job_is_cancelled(bus: Bus, producer: Producer) -> None:
    handler = Handler(hold=True)
    async with serve(bus, handler):
        handle = await producer.submit(make_job())
        await eventually(lambda: handler.begun)
        assert await handle.cancel()
        assert (await handle.outcome(timeout_s=20)).status == "cancelled"
        assert not await producer.cancel("transcribe", handle.job_id)


async def test_the_output_of_a_job_is_followed_by_several(bus: Bus, producer: Producer, settings: BusSettings) -> None:
    async def kinds(events: AsyncIterator[object]) -> list[str]:
        return [event.kind async for event in events]  # type: ignore[attr-defined]

    async with serve(bus, Speaker()), Producer.open(settings) as another:
        job = make_job(stream=True)
        listening = [asyncio.create_task(kinds(each.follow("transcribe", job.id))) for each in (producer, another)]
        await producer.publish(job)
        assert await asyncio.gather(*listening) == [["delta", "delta", "outcome"]] * 2
        events = [event async for event in producer.follow("transcribe", job.id)]
        rest = [event async for event in producer.follow("transcribe", job.id, after=events[0].entry)]
        assert rest == events[1:]
        handle = await producer.submit(make_job(stream=True))
        assert await kinds(handle.events()) == ["delta", "delta", "outcome"]
        handle = await producer.submit(make_job())
        assert await kinds(handle.events()) == ["outcome"]


async def test_thousands_of_jobs_are_published_in_the_order_given(server: Server, producer: Producer) -> None:
    def jobs() -> Iterator[Job]:
        for n in range(2_000):
            yield make_job(id=f"job.{n}")
            if n % 4 == 0:
                yield SynthesizeJob(id=f"say.{n}", text="Hello.", model="tts-1", voice="alloy")

    assert await producer.publish_many(jobs(), reply="mine") == 2_500
    with server.client() as client:
        entries = client.xrange(BULK)
    ids = [TranscribeJob.model_validate_json(fields[b"data"]).id for _, fields in entries]
    assert ids == [f"job.{n}" for n in range(2_000)]
    assert server.do("XLEN", "jobs:{synthesize}:bulk") == 500
    assert entries[0][1].keys() == {b"data", b"reply"}


async def test_jobs_with_sound_in_them_go_out_a_few_at_a_time(server: Server, producer: Producer) -> None:
    audio = await producer.audio(os.urandom(700_000))

    async def jobs() -> AsyncIterator[Job]:
        for _ in range(8):
            yield TranscribeJob(audio=audio, model="whisper-1")

    assert await producer.publish_many(jobs()) == 8
    assert server.do("XLEN", BULK) == 8


async def test_a_full_lane_is_waited_for(server: Server, bus: Bus) -> None:
    settings = make_settings(server, max_bulk_backlog=20)
    handler = Handler()
    async with Producer.open(settings) as producer, serve(bus, handler, concurrency=8):
        jobs = [make_job() for _ in range(150)]
        assert await producer.publish_many(jobs) == 150
        await eventually(lambda: len(handler.ended) == 150)
    assert sorted(handler.ended) == sorted(job.id for job in jobs)


async def test_a_lane_that_stays_full_is_told_after_the_patience(server: Server) -> None:
    settings = make_settings(server, max_backlog=5, max_bulk_backlog=5)
    async with Producer.open(settings, patience_s=0.5) as producer:
        with pytest.raises(Overloaded):
            await producer.publish_many([make_job() for _ in range(7)])
        assert server.do("XLEN", BULK) == 5
        for _ in range(5):
            await producer.publish(make_job())
        with pytest.raises(Overloaded) as refusal:
            await producer.publish(make_job())
    assert refusal.value.retry_after_s


async def test_a_server_that_is_away_for_a_while_loses_nothing(own_server: Server) -> None:
    settings = make_settings(own_server)
    jobs = [make_job() for _ in range(1_000)]

    async def slowly() -> AsyncIterator[Job]:
        for n, job in enumerate(jobs):
            if n == 500:
                own_server.kill()
            yield job

    async with Producer.open(settings) as producer, Bus.open(settings) as bus:
        await producer.publish(make_job())
        # What the server had not flushed when it died is lost with it: that is what the append-only file promises.
        own_server.do("CONFIG", "SET", "appendfsync", "always")
        publishing = asyncio.create_task(producer.publish_many(slowly()))
        await eventually(lambda: own_server.process is None)
        await asyncio.sleep(0.2)
        own_server.start()
        assert await publishing == 1_000
        handler = Handler()
        async with serve(bus, handler, concurrency=64):
            await eventually(lambda: set(handler.ended) >= {job.id for job in jobs})
    assert result_of(own_server, jobs[0].id) is not None


async def test_a_server_that_stays_away_is_told_after_the_patience(own_server: Server) -> None:
    async with Producer.open(own_server.url, patience_s=0.3) as producer:
        own_server.kill()
        begun = time.monotonic()
        for attempt in (
            producer.publish(make_job()),
            producer.publish_many([make_job()]),
            producer.outcome("transcribe", "x"),
            producer.cancel("transcribe", "x"),
            producer.audio(bytes(2_000_000)),
        ):
            with pytest.raises(Unavailable):
                await attempt
        assert time.monotonic() - begun < 5


async def test_small_audio_travels_in_the_job_and_large_audio_in_the_server(
    server: Server, producer: Producer, tmp_path: Path
) -> None:
    small, large = os.urandom(1024 * 1024), os.urandom(2_500_000)
    ref = await producer.audio(small, media_type="audio/wav")
    assert base64.b64decode(ref.uri.removeprefix("data:audio/wav;base64,")) == small
    (tmp_path / "talk.wav").write_bytes(large)
    for given in (large, tmp_path / "talk.wav", str(tmp_path / "talk.wav")):
        ref = await producer.audio(given)
        key = f"blob:{ref.uri.removeprefix('redis:')}"
        assert (ref.size, server.do("GET", key) == large) == (len(large), True)
        assert 86_000 < server.do("TTL", key) <= 86_400
    assert ref.media_type is not None
    assert ref.media_type.startswith("audio/")


async def test_audio_that_no_value_can_hold_is_refused_before_it_is_sent(producer: Producer, tmp_path: Path) -> None:
    with (tmp_path / "day.wav").open("wb") as file:
        file.truncate(512 * 1024 * 1024 + 1)
    with pytest.raises(ContentTooLarge):
        await producer.audio(tmp_path / "day.wav")
    with pytest.raises(FileNotFoundError):
        await producer.audio(tmp_path / "none.wav")


async def test_ten_thousand_jobs_cost_little(server: Server, producer: Producer) -> None:
    """A job costs tens of microseconds; the limit is for a machine that is busy with other things."""
    jobs = [make_job() for _ in range(10_000)]
    begun = time.perf_counter()
    assert await producer.publish_many(jobs) == 10_000
    each_us = (time.perf_counter() - begun) / len(jobs) * 1e6
    assert server.do("XLEN", BULK) == 10_000
    assert each_us < 1_000
