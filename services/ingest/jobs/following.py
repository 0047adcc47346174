"""The events of one job, from wherever a follower left off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from antiphon.bus import FollowedEvent
from antiphon.errors import AntiphonError, NotFound
from antiphon.schemas import Delta, JobRecord, Outcome, Progress
from services.ingest.disconnect import unless_gone
from services.ingest.errors import told
from services.ingest.errors_openai import error_object
from services.ingest.formats.transcripts import logprob_objects
from services.ingest.jobs.cursor import Cursor
from services.ingest.jobs.objects import JobView, progress_object
from services.ingest.platform import Platform
from services.ingest.sse import EventStream

_LOOK_S = 1.0
"""How often a job that waits is looked at, to tell when it begins."""

_ENDS = {"completed": "job.completed", "cancelled": "job.cancelled"}


@dataclass(frozen=True)
class JobEvent:
    """An event and the place behind it."""

    name: str
    body: dict[str, Any]
    cursor: Cursor


class Teller:
    """Turns what is known of a job into events, each once. Pure: `cursor` is all that it remembers."""

    def __init__(self, record: JobRecord, view: JobView, cursor: Cursor) -> None:
        self.cursor = cursor
        self._record = record
        self._view = view

    def learn(self, record: JobRecord) -> None:
        """Take note of what is known about the job now."""
        self._record = record

    def look(self) -> Iterator[JobEvent]:
        """Yield that the job waits, or that it has begun, as far as that is news."""
        record = self._record
        if self.cursor.phase is None and not record.ended:
            yield self._enter("queued")
        if self.cursor.phase == "queued" and record.state == "running":
            yield self._enter("running")

    def tell(self, event: FollowedEvent) -> Iterator[JobEvent]:
        """Yield what an entry of the output says."""
        if event.kind == "outcome":
            yield self._end(Outcome.model_validate_json(event.data), event.entry)
            return
        if self.cursor.phase != "running":
            yield self._enter("running")
        at = replace(self.cursor, entry=event.entry or self.cursor.entry)
        match event.kind:
            case "delta":
                yield self._event("job.delta", _delta(Delta.model_validate_json(event.data)), at)
            case "reset":
                yield self._event("job.reset", {}, at)
            case "progress":
                progress = Progress.model_validate_json(event.data)
                if not event.entry:
                    # Progress that is not written down is a state, not an event: only a change is news.
                    if progress.done == self.cursor.done:
                        return
                    at = replace(at, done=progress.done)
                yield self._event("job.progress", {"progress": progress_object(self._record.kind, progress)}, at)

    def _enter(self, phase: str) -> JobEvent:
        state = "running" if phase == "running" else "queued"
        shown = self._record.model_copy(update={"state": state})
        at = replace(self.cursor, phase=state)  # type: ignore[arg-type]
        return self._event(f"job.{phase}", {"job": self._view.listed(shown, None)}, at)

    def _end(self, outcome: Outcome, entry: str) -> JobEvent:
        ended = self._record.model_copy(update={"state": outcome.status, "outcome": outcome})
        at = replace(self.cursor, entry=entry or self.cursor.entry, phase="ended")
        # A job that expired has failed.
        return self._event(_ENDS.get(outcome.status, "job.failed"), {"job": self._view.whole(ended)}, at)

    def _event(self, name: str, body: dict[str, Any], cursor: Cursor) -> JobEvent:
        self.cursor = cursor
        return JobEvent(name, {"type": name, "job_id": self._record.id, **body}, cursor)


class JobEvents(Response):
    """Server-sent events until the job has ended, the follower has left, or this process stops."""

    def __init__(
        self, platform: Platform, record: JobRecord, view: JobView, cursor: Cursor, *, stopping: asyncio.Event
    ) -> None:
        super().__init__()
        self._platform = platform
        self._record = record
        self._view = view
        self._cursor = cursor
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events. Raises `ClientDisconnect`."""
        await unless_gone(receive, self._send_all(EventStream(send)))

    async def _send_all(self, stream: EventStream) -> None:
        ping_s = self._platform.settings.ping.total_seconds()
        if self._cursor.phase is not None:
            # Who comes back sees at once that there is somebody.
            await stream.ping()
        sent_s = time.monotonic()
        try:
            async with aclosing(self._events(min(_LOOK_S, ping_s))) as events:
                async for event in events:
                    if self._stopping.is_set():
                        break
                    if event is not None:
                        await stream.emit(event.body, name=event.name, id=str(event.cursor))
                    elif time.monotonic() - sent_s < ping_s:
                        continue
                    else:
                        await stream.ping()
                    sent_s = time.monotonic()
        except NotFound:
            # Deleted meanwhile; who comes back is told so.
            pass
        except AntiphonError as error:
            if not stream.started:
                raise
            await stream.emit(error_object(told(error)), name="error")
        await stream.close(done=False)

    async def _events(self, idle_s: float) -> AsyncGenerator[JobEvent | None, None]:
        record, bus = self._record, self._platform.bus
        teller = Teller(record, self._view, self._cursor)
        for news in teller.look():
            yield news
        source: AsyncIterator[FollowedEvent | None] = bus.follow(
            record.kind, record.id, after=teller.cursor.entry, streamed=bool(record.job.get("stream")), idle_s=idle_s
        )
        async with aclosing(cast("AsyncGenerator[FollowedEvent | None, None]", source)) as followed:
            async for event in followed:
                waits = event is None and teller.cursor.phase != "running"
                ends = event is not None and event.kind == "outcome"
                if (waits or ends) and (seen := await bus.records.find(record.id, tenant=record.tenant)):
                    teller.learn(seen)
                for news in teller.look() if event is None else teller.tell(event):
                    yield news
                if event is None:
                    yield None


def _delta(delta: Delta) -> dict[str, Any]:
    body: dict[str, Any] = {"delta": delta.delta}
    if delta.logprobs is not None:
        body["logprobs"] = logprob_objects(delta.logprobs)
    return body
