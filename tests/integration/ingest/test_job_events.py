"""Following jobs as server-sent events, across lost connections and lost workers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from antiphon.bus import Work
from antiphon.errors import Unavailable
from antiphon.schemas import Delta, TranscribeJob, Transcript
from tests.integration.ingest.conftest import Scribe, SseEvent
from tests.servers import Server

pytestmark = pytest.mark.integration

HEARD = {"kind": "transcribe", "model": "whisper-1", "audio": "https://example.com/a.wav"}
SPEECH = {"kind": "synthesize", "model": "tts-1", "input": "Hi.", "voice": "alloy"}
WORDS = (" one", " two", " three", " four")


async def take(events: Any, count: int) -> list[SseEvent]:
    """Return the first few events and hang up."""
    taken: list[SseEvent] = []
    async with asyncio.timeout(15), aclosing(events) as source:
        async for event in source:
            taken.append(event)
            if len(taken) == count:
                break
    return taken


async def all_of(events: Any) -> list[SseEvent]:
    async with asyncio.timeout(15):
        return [event async for event in events]


async def test_a_job_is_followed_from_the_queue_to_its_end(door: Any, transcriber: Any) -> None:
    shown = await door.order(**HEARD)
    scribe = Scribe(held=True)
    events = door.events(shown["id"])
    assert (await anext(events)).name == "job.queued"
    async with transcriber(door, scribe):
        running = await anext(events)
        assert (running.name, running.data["job"]["status"]) == ("job.running", "running")
        scribe.say()
        delta, progress = await anext(events), await anext(events)
        assert (delta.name, delta.data["delta"]) == ("job.delta", " Hello")
        assert progress.data["progress"] == {"done": 1.0, "total": 2.0, "unit": "seconds"}
        scribe.say()
        rest = [event async for event in events]
    assert [event.name for event in rest] == ["job.delta", "job.progress", "job.completed"]
    assert rest[-1].data["job"] == await door.job(shown["id"])
    for event in (running, delta, *rest):
        assert (event.data["type"], event.data["job_id"]) == (event.name, shown["id"])


async def test_a_connection_lost_anywhere_is_resumed_without_gap_or_repetition(door: Any, transcriber: Any) -> None:
    shown = await door.order(**HEARD)
    scribe = Scribe(words=WORDS, held=True)
    told: list[SseEvent] = []
    last = None
    async with transcriber(door, scribe):
        while not told or told[-1].name != "job.completed":
            scribe.say()
            (event,) = await take(door.events(shown["id"], after=last), 1)
            told.append(event)
            last = event.id
    assert [event.name for event in told[:2]] == ["job.queued", "job.running"]
    assert [event.id for event in told[2:]] == [event.id for event in await all_of(door.events(shown["id"]))][1:]
    assert len({event.id for event in told}) == len(told)
    deltas = [event.data["delta"] for event in told if event.name == "job.delta"]
    assert deltas == list(WORDS)
    assert [e.data["progress"]["done"] for e in told if e.name == "job.progress"] == [1.0, 2.0, 3.0, 4.0]
    ended = await door.client.get(f"/v1/jobs/{shown['id']}/events", headers={"last-event-id": last})
    assert (ended.status_code, ended.content) == (204, b"")


async def test_two_may_follow_the_same_job(door: Any, transcriber: Any) -> None:
    shown = await door.order(**HEARD)
    followers = [asyncio.create_task(all_of(door.events(shown["id"]))) for _ in range(2)]
    async with transcriber(door, Scribe()):
        first, second = await asyncio.gather(*followers)
    assert [event.name for event in first if event.name == "job.delta"] == ["job.delta"] * 2
    assert first[-1] == second[-1]


async def test_another_attempt_takes_back_what_was_told(door: Any, transcriber: Any) -> None:
    shown = await door.order(**HEARD)

    class Unlucky(Scribe):
        async def __call__(self, job: TranscribeJob, work: Work) -> Transcript:
            if work.attempt == 1:
                await work.emit("delta", Delta(delta=" Helo").model_dump_json().encode())
                raise Unavailable("A little later.")
            return await super().__call__(job, work)

    async with transcriber(door, Unlucky()):
        names = [
            (event.name, event.data.get("delta"))
            for event in await all_of(door.events(shown["id"]))
            if event.name in {"job.delta", "job.reset", "job.completed"}
        ]
    assert names == [
        ("job.delta", " Helo"),
        ("job.reset", None),
        ("job.delta", " Hello"),
        ("job.delta", " there."),
        ("job.completed", None),
    ]


async def test_a_job_without_output_tells_its_progress(door: Any, synthesizer: Any) -> None:
    shown = await door.order(**SPEECH)
    following = asyncio.create_task(all_of(door.events(shown["id"])))
    async with synthesizer(door):
        told = await following
    assert (told[0].name, told[-1].name) == ("job.queued", "job.completed")
    assert told[-1].data["job"]["result"]["url"] == f"/v1/jobs/{shown['id']}/content"
    assert {event.name for event in told} <= {"job.queued", "job.running", "job.progress", "job.completed"}


async def test_after_the_life_of_the_output_the_end_alone_is_told(door: Any, transcriber: Any, server: Server) -> None:
    async with transcriber(door, Scribe()):
        shown = await door.order(**HEARD)
        await door.when(shown["id"], "completed")
    assert [event.name for event in await all_of(door.events(shown["id"]))] == [
        "job.running",
        "job.delta",
        "job.progress",
        "job.delta",
        "job.progress",
        "job.completed",
    ]
    server.do("DEL", f"out:{{transcribe}}:{shown['id']}")
    (event,) = await all_of(door.events(shown["id"]))
    assert event.name == "job.completed"
    (again,) = await all_of(door.events(shown["id"], after="1-0.running"))
    assert again.data == event.data


async def test_a_cancelled_job_ends_its_events(door: Any, transcriber: Any) -> None:
    async with transcriber(door, Scribe(held=True)):
        shown = await door.order(**HEARD)
        following = asyncio.create_task(all_of(door.events(shown["id"])))
        await door.when(shown["id"], "running")
        await door.client.post(f"/v1/jobs/{shown['id']}/cancel")
        told = await following
    assert told[-1].name == "job.cancelled"
    assert told[-1].data["job"]["status"] == "cancelled"


async def test_a_deleted_job_ends_its_events(door: Any) -> None:
    shown = await door.order(**HEARD)
    events = door.events(shown["id"])
    assert (await anext(events)).name == "job.queued"
    await door.client.delete(f"/v1/jobs/{shown['id']}")
    assert await all_of(events) == []


async def test_while_nothing_happens_a_comment_is_sent(open_door: Any) -> None:
    async with open_door(ping="PT0.05S") as door:
        shown = await door.order(**HEARD)
        pings = 0
        async with door.client.stream("GET", f"/v1/jobs/{shown['id']}/events") as reply:
            async for line in reply.aiter_lines():
                pings += line == ": ping"
                if pings == 2:
                    break
        assert (await door.job(shown["id"]))["status"] == "queued"


async def test_who_follows_does_not_hold_up_the_door_when_it_closes(open_door: Any) -> None:
    async with open_door() as door:
        shown = await door.order(**HEARD)
        events = door.events(shown["id"])
        await anext(events)
        door.stop.set()
        assert await all_of(events) == []


async def test_an_id_that_was_never_sent_is_refused(door: Any) -> None:
    shown = await door.order(**HEARD)
    for id in ("x", "1-0", "1-0.begun", "-1-0.running", "9" * 40 + "-0.running", "1-0.running.x"):
        reply = await door.client.get(f"/v1/jobs/{shown['id']}/events", headers={"last-event-id": id})
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "Last-Event-ID")
