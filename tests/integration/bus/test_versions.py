"""Doors, workers and readers of two versions share a bus while one version replaces the other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.bus import Bus
from antiphon.schemas import JobRequest, now_ms
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Handler, make_job, result_of, serve
from tests.servers import Server

pytestmark = pytest.mark.integration

NOVELTY = {"since": 2}
EVENTS = "events:{transcribe}"


def newer(text: str | bytes) -> bytes:
    """Return a message as a version would write it that knows of more."""
    return orjson.dumps(_grown(orjson.loads(text)))


def _grown(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    free = {"metadata"}
    return {name: each if name in free else _grown(each) for name, each in value.items()} | {"novelty": NOVELTY}


async def test_a_job_of_a_newer_door_is_done(server: Server, bus: Bus) -> None:
    job = make_job(metadata={"mine": "1"})
    handler = Handler()
    async with serve(bus, handler):
        server.do("XADD", STD, "*", "data", newer(job.model_dump_json()), "novelty", "2")
        await eventually(lambda: result_of(server, job.id))
    outcome = result_of(server, job.id)
    assert outcome is not None
    assert (outcome.status, handler.begun) == ("completed", [job.id])
    assert server.do("XLEN", "jobs:{transcribe}:dead") == 0


async def test_a_job_that_a_newer_door_has_put_on_the_lane_keeps_what_nobody_here_knows(
    server: Server, bus: Bus
) -> None:
    job = make_job()
    handler = Handler(error=RuntimeError("not today"))
    data = newer(job.model_dump_json())
    async with serve(bus, handler):
        server.do("XADD", STD, "*", "data", data, "novelty", "2")
        await eventually(lambda: server.do("XLEN", "jobs:{transcribe}:dead"))
    # Through every attempt, and into the dead letter from which it may be put back.
    ((_, flat),) = server.do("XRANGE", "jobs:{transcribe}:dead", "-", "+")
    letter = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
    assert (letter[b"data"], letter[b"novelty"]) == (data, b"2")


async def test_a_job_that_knows_only_what_must_be_said_is_done(server: Server, bus: Bus) -> None:
    async with serve(bus, Handler()):
        least = {"kind": "transcribe", "id": "job-1", "audio": {"uri": "redis:none"}, "model": "whisper-1"}
        server.do("XADD", STD, "*", "data", orjson.dumps(least))
        await eventually(lambda: result_of(server, "job-1"))
    outcome = result_of(server, "job-1")
    assert outcome is not None
    assert outcome.status == "completed"


async def test_the_outcome_of_a_newer_worker_is_read(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    async with bus.caller() as caller, serve(bus, handler):
        job = make_job(tracked=True)
        await caller.publish(job, priority="std", request=JobRequest(format="json"))
        handler.release.set()

        async def ended() -> bool:
            record = await bus.records.find(job.id, tenant="default")
            return record is not None and record.ended

        await eventually(ended)
        key = f"result:{{transcribe}}:{job.id}"
        server.do("SET", key, newer(server.do("GET", key)), "KEEPTTL")
        (outcome,) = await bus.records.outcomes("transcribe", [job.id])
        assert outcome is not None
        assert outcome.status == "completed"
        record = f"record:{{transcribe}}:{job.id}"
        server.do("HSET", record, "novelty", "2", "request", newer(server.do("HGET", record, "request") or b"{}"))
        found = await bus.records.find(job.id, tenant="default")
        assert found is not None
        assert (found.state, found.request.format) == ("completed", "json")


async def test_the_events_of_a_newer_worker_and_of_an_older_one_are_passed_on(server: Server, bus: Bus) -> None:
    event = {"id": "evt_1", "type": "job.completed", "created_ms": now_ms(), "kind": "transcribe", "tenant": "a"}
    async with bus.events("webhooks", kinds=("transcribe",)) as reader:
        await reader.read()
        server.do("XADD", EVENTS, "*", "data", orjson.dumps(event | {"job_id": "old"}))
        server.do("XADD", EVENTS, "*", "data", newer(orjson.dumps(event | {"job_id": "new"})), "novelty", "2")
        found: list[str | None] = []
        while len(found) < 2:
            found += [each.event.job_id for each in await reader.read()]
    assert found == ["old", "new"]
