"""What is kept about tracked jobs, and what is announced of all."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from antiphon.bus import Bus, Caller, Postponed, RetryPolicy, Work
from antiphon.errors import Failure, InvalidRequest, NotFound
from antiphon.schemas import BatchRecord, Job, JobRequest, Status, TranscribeJob, WebhookTarget, now_ms
from tests.eventually import eventually
from tests.integration.bus.conftest import Done, Handler, make_job, make_settings, serve
from tests.servers import Server

pytestmark = pytest.mark.integration


async def put(caller: Caller, **fields: Any) -> str:
    job = make_job(tracked=True, **fields)
    return (await caller.publish(job, priority="bulk", request=JobRequest(format="srt"), expires_in_s=600)).job_id


async def test_a_tracked_job_tells_its_state_from_the_first_moment_to_the_last(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    async with bus.caller() as caller:
        job_id = await put(caller, tenant="a", webhook=WebhookTarget(url="https://x", secret="s3cret"))
        waiting = await bus.records.find(job_id, tenant="a")
        assert waiting is not None
        assert (waiting.state, waiting.attempts, waiting.request.format) == ("queued", 0, "srt")
        assert now_ms() < waiting.job["deadline_ms"] <= now_ms() + 600_000
        assert "s3cret" not in waiting.model_dump_json()
        async with serve(bus, handler):

            async def running() -> bool:
                record = await bus.records.find(job_id, tenant="a")
                return record is not None and (record.state, record.attempts) == ("running", 1)

            await eventually(running)
            handler.release.set()

            async def ended() -> bool:
                record = await bus.records.find(job_id, tenant="a")
                return record is not None and record.outcome is not None and record.outcome.result == {"text": "done"}

            await eventually(ended)
    (listed,) = await bus.records.page("a", limit=10)
    assert (listed.state, listed.attempts, listed.ended, listed.outcome) == ("completed", 1, True, None)
    assert listed.finished_ms


async def test_a_job_is_its_tenants_own(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller:
        job_id = await put(caller, tenant="a")
    assert await bus.records.find(job_id, tenant="b") is None
    assert await bus.records.page("b", limit=10) == []


async def test_pages_go_from_the_newest_to_the_oldest_and_back(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller:
        ids = [await put(caller, tenant="a") for _ in range(25)]
    newest = ids[::-1]
    first = [record.id for record in await bus.records.page("a", limit=10)]
    assert first == newest[:10]
    second = [record.id for record in await bus.records.page("a", before=first[-1], limit=10)]
    assert second == newest[10:20]
    back = [record.id for record in await bus.records.page("a", after=second[0], limit=10)]
    assert back == first
    assert [record.id for record in await bus.records.page("a", states={"completed"}, limit=10)] == []
    assert len(await bus.records.page("a", kinds=["synthesize"], limit=10)) == 0


async def test_a_deleted_job_leaves_nothing(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller, serve(bus, Handler()):
        job_id = await put(caller, tenant="a")

        async def ended() -> bool:
            return await bus.records.outcome("transcribe", job_id) is not None

        await eventually(ended)
    record = await bus.records.find(job_id, tenant="a")
    assert record is not None
    await bus.records.drop(record)
    assert await bus.records.find(job_id, tenant="a") is None
    assert server.do("KEYS", f"*{job_id}*") == []
    assert await bus.records.page("a", limit=10) == []


async def test_the_listing_of_records_that_are_gone_shrinks_by_itself(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller:
        old = [await put(caller, tenant="a") for _ in range(6)]
        for job_id in old:
            server.do("DEL", f"record:{{transcribe}}:{job_id}")
        for _ in range(3):
            await put(caller, tenant="a")
    assert server.do("ZCARD", "listing:{transcribe}:a") == 3


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [(None, "job.completed", "completed"), (InvalidRequest("no"), "job.failed", "failed")],
)
async def test_the_end_of_a_job_is_announced_once(
    server: Server, bus: Bus, error: Exception | None, kind: str, status: str
) -> None:
    async with bus.caller() as caller, bus.events("g", kinds=["transcribe"]) as reader:
        async with serve(bus, Handler(error=error)):
            call = await caller.submit(make_job(id="one", tenant="a", metadata={"order": "7"}))
            await call.outcome()
            await (await caller.submit(make_job(id="one", tenant="a"))).outcome()
            await (await caller.submit(make_job(id="silent", announce=False))).outcome()
        announced = await reader.read()
        assert [(each.event.type, each.event.job_id, each.event.status) for each in announced] == [
            (kind, "one", status)
        ]
        event = announced[0].event
        assert (event.tenant, event.metadata, event.kind, event.attempts) == ("a", {"order": "7"}, "transcribe", 1)
        assert (event.error is None) == (error is None)
        await reader.done(announced)
        assert await reader.read() == []


async def test_what_a_dead_reader_held_is_read_by_its_successor(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller, serve(bus, Handler()):
        await (await caller.submit(make_job())).outcome()
    events = "events:{transcribe}"
    server.do("XGROUP", "CREATE", events, "g", "0")
    assert server.do("XREADGROUP", "GROUP", "g", "dead", "STREAMS", events, ">")
    async with bus.events("g", kinds=["transcribe"], consumer="living") as living:
        (found,) = await eventually(living.read)
        assert found.event.type == "job.completed"


async def test_what_a_reader_that_leaves_held_is_read_at_once(server: Server) -> None:
    async with Bus.open(make_settings(server, lease=timedelta(minutes=5))) as bus:
        async with bus.caller() as caller, serve(bus, Handler()):
            await (await caller.submit(make_job())).outcome()
        async with bus.events("g", kinds=["transcribe"]) as leaves:
            (left,) = await leaves.read()
        async with bus.events("g", kinds=["transcribe"]) as stays:
            assert [each.event.id for each in await stays.read()] == [left.event.id]


async def test_events_are_trimmed_behind_their_readers(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller, serve(bus, Handler()), bus.events("g", kinds=["transcribe"]) as reader:
        for _ in range(5):
            await (await caller.submit(make_job())).outcome()
        while announced := await reader.read():
            await reader.done(announced)
        await eventually(lambda: server.do("XLEN", "events:{transcribe}") <= 1)


async def test_a_batch_counts_its_jobs_and_is_announced_when_the_last_has_ended(server: Server, bus: Bus) -> None:
    batch = BatchRecord(
        id="b1", kind="transcribe", tenant="a", created_ms=now_ms(), total=3, definition={"displayName": "x"}
    )

    async def handle(job: Job, work: Work) -> Done:
        if job.id == "b1.1":
            raise InvalidRequest("cannot be read")
        return Done()

    await bus.batches.create(batch, keep_s=600)
    async with bus.caller() as caller, bus.events("g", kinds=["transcribe"]) as reader:
        await asyncio.gather(
            *(
                caller.publish(make_job(id=batch.job_id(index), parent="b1", tenant="a", announce=False))
                for index in range(3)
            )
        )
        async with serve(bus, handle):

            async def ended() -> BatchRecord | None:
                found = await bus.batches.find("b1", tenant="a")
                return found if found and found.ended else None

            found = await eventually(ended)
        assert (found.completed, found.failed, found.started) == (2, 1, True)
        events = [(each.event.type, each.event.parent) for each in await reader.read()]
        assert sorted(events) == [("batch.completed", "b1"), ("batch.started", "b1")]
    assert await bus.batches.find("b1", tenant="b") is None
    assert [each.id for each in await bus.batches.page("a", top=10)] == ["b1"]
    await bus.batches.update(found, {"displayName": "y"}, now_ms=now_ms())
    changed = await bus.batches.find("b1", tenant="a")
    assert changed is not None
    assert changed.definition == {"displayName": "y"}
    await bus.batches.drop(found)
    assert await bus.batches.page("a", top=10) == []
    assert await bus.records.outcomes("transcribe", [found.job_id(0)]) == [None]


async def test_several_follow_the_same_job_and_one_resumes_in_the_middle(server: Server, bus: Bus) -> None:
    go = asyncio.Event()

    async def handle(job: Job, work: Work) -> Done:
        for part in (b"a", b"b", b"c"):
            await work.emit("delta", part)
        await go.wait()
        return Done()

    async def follow(after: str) -> list[tuple[str, str, bytes]]:
        return [
            (event.entry, event.kind, event.data)
            async for event in bus.follow("transcribe", "j", after=after, idle_s=5)
            if event is not None
        ]

    async with bus.caller() as caller, serve(bus, handle):
        await caller.publish(make_job(id="j", stream=True))
        watchers = [asyncio.create_task(follow("0-0")) for _ in range(3)]
        await eventually(lambda: server.do("XLEN", "out:{transcribe}:j") == 3)
        go.set()
        first, *others = await asyncio.gather(*watchers)
    assert [kind for _, kind, _ in first] == ["delta", "delta", "delta", "outcome"]
    assert all(other == first for other in others)
    assert await follow(first[1][0]) == first[2:]
    server.do("DEL", "out:{transcribe}:j")
    assert [kind for _, kind, _ in await follow(first[1][0])] == ["outcome"]


async def test_who_follows_a_job_that_is_deleted_is_told(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller:
        job_id = await put(caller, tenant="a")
        events = bus.follow("transcribe", job_id, streamed=False, idle_s=0.1)
        assert await anext(events) is None
        record = await bus.records.find(job_id, tenant="a")
        assert record is not None
        await bus.records.drop(record)
        with pytest.raises(NotFound):
            async with asyncio.timeout(10):
                async for event in events:
                    assert event is None


async def test_bulk_jobs_leave_slots_for_those_who_wait(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    async with bus.caller() as caller, serve(bus, handler, concurrency=4):
        for _ in range(8):
            await caller.publish(make_job(), priority="bulk")
        await eventually(lambda: len(handler.begun) == 3)
        started = time.monotonic()
        await caller.submit(make_job(id="waiting"))
        await eventually(lambda: "waiting" in handler.begun)
        assert time.monotonic() - started < 1.5, "before any read that waits has come back"
        assert len(handler.begun) == 4
        handler.release.set()
        await eventually(lambda: len(handler.ended) == 9)


async def test_bulk_jobs_follow_each_other_without_a_pause(server: Server, bus: Bus) -> None:
    handler = Handler(work_s=0.02)
    async with bus.caller() as caller:
        for _ in range(120):
            await caller.publish(make_job(), priority="bulk")
        started = time.monotonic()
        async with serve(bus, handler, concurrency=4):
            await eventually(lambda: len(handler.ended) == 120)
    # 40 rounds of three: a wait of a blocking read in each would be a minute.
    assert time.monotonic() - started < 10


async def test_a_postponed_job_comes_back_without_an_attempt_more(server: Server, bus: Bus) -> None:
    attempts: list[int] = []

    async def handle(job: Job, work: Work) -> Done:
        attempts.append(work.attempt)
        if len(attempts) <= 5:
            raise Postponed(0.05)
        return Done()

    async with bus.caller() as caller, serve(bus, handle):
        outcome = await (await caller.submit(make_job())).outcome()
    assert outcome.status == "completed"
    assert attempts == [1] * 6


async def test_a_lane_may_have_a_schedule_of_its_own(server: Server, bus: Bus) -> None:
    retry = RetryPolicy(7, timedelta(0), timedelta(0), schedule=(timedelta(milliseconds=10),))
    handler = Handler(error=Failure("again"))
    async with bus.caller() as caller, bus.serve("transcribe", TranscribeJob, handler, concurrency=1, retry=retry):
        outcome = await (await caller.submit(make_job())).outcome()
    assert (outcome.status, outcome.attempts) == ("failed", 7)


async def test_a_worker_is_told_how_its_jobs_have_ended(server: Server, bus: Bus) -> None:
    told: list[tuple[str, Status, bool]] = []

    async def settled(job: Job, status: Status, dead: bool) -> None:
        told.append((job.id, status, dead))

    async def handle(job: Job, work: Work) -> Done:
        if job.id != "good":
            raise Failure("no") if job.id == "bad" else InvalidRequest("no")
        return Done()

    async with (
        bus.caller() as caller,
        bus.serve("transcribe", TranscribeJob, handle, concurrency=1, settled=settled),
    ):
        for job_id in ("good", "wrong", "bad"):
            await (await caller.submit(make_job(id=job_id))).outcome()
        await eventually(lambda: len(told) == 3)
    assert sorted(told) == [("bad", "failed", True), ("good", "completed", False), ("wrong", "failed", False)]


async def test_a_deadline_is_by_the_servers_clock(server: Server, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    # A machine whose clock is an hour ahead: by its own, the job would be too late.
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    async with Bus.open(make_settings(server)) as skewed, skewed.caller() as caller, serve(skewed, Handler()):
        call = await caller.submit(make_job(), expires_in_s=30)
        assert (await call.outcome()).status == "completed"


async def test_a_secret_is_made_once_for_all_processes(server: Server, bus: Bus) -> None:
    secrets = await asyncio.gather(*(bus.shared_secret("files") for _ in range(5)))
    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32
