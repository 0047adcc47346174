"""Jobs that nobody waits for: a list of them in one request, each followed until it has ended."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import orjson

from tests.load.callers import events_of
from tests.load.tally import Request, Unanswered

if TYPE_CHECKING:
    from tests.load.callers import Callers

JOBS, EVENTS = "/jobs", "/jobs/{job_id}/events"
_ENDS = ("job.completed", "job.failed", "job.cancelled")


async def send_jobs(callers: Callers, due_s: float, *, count: int) -> None:
    """Put jobs on the lane with one request and follow each of them; they share what becomes of the request."""
    clips = [callers.sounds.next("jobs", callers.sounds.files) for _ in range(count)]
    posting = Request("jobs", due_s)
    accepted: list[str] | Exception
    try:
        body = {"jobs": [_job(callers, clip.data) for clip in clips]}
        async with callers.exchange(posting, JOBS, json=body) as reply:
            accepted = [job["id"] for job in orjson.loads(await reply.aread())["data"]]
    except asyncio.CancelledError:
        callers.tally.requests += [Request("jobs", due_s, error="unfinished") for _ in clips]
        raise
    except Exception as error:
        accepted = error
    async with asyncio.TaskGroup() as group:
        for number, clip in enumerate(clips):
            outcome = accepted[number] if isinstance(accepted, list) else accepted
            group.create_task(_follow(callers, posting, outcome, clip.duration_s))


async def _follow(callers: Callers, posting: Request, accepted: str | Exception, seconds: float) -> None:
    async with callers.tally.request("jobs", posting.due_s) as request:
        request.sound_s, request.refusals = seconds, posting.refusals
        if isinstance(accepted, Exception):
            raise accepted
        async with callers.client.stream("GET", EVENTS.format(job_id=accepted).removeprefix("/")) as reply:
            callers.note("GET", EVENTS, reply.status_code)
            reply.raise_for_status()
            await _await_end(callers, request, reply)


async def _await_end(callers: Callers, request: Request, reply: Any) -> None:
    async for event in events_of(reply):
        if event["type"] == "job.delta" and request.first_s is None:
            request.first_s = callers.tally.now()
        if event["type"] in _ENDS:
            if event["type"] != "job.completed":
                raise Unanswered(event["type"])
            return
    raise Unanswered("stream without an end")


def _job(callers: Callers, data: bytes) -> dict[str, Any]:
    url = f"data:audio/wav;base64,{base64.b64encode(data).decode()}"
    return {"kind": "transcribe", "model": callers.names.files, "language": "en", "audio": {"data": url}}
