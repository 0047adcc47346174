"""A worker for live sessions that does what a test tells it: the door is what is tested."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from antiphon.bus import Bus, HeldSession, SessionHost, SessionInput, SessionOutput, Work
from antiphon.realtime.session_object import Known, merge_session
from antiphon.schemas import RealtimeJob, SessionEnd
from tests.eventually import eventually

KNOWN = Known(voices=None, is_transcriber=lambda _: True)


@dataclass
class Hosted:
    """One session in the hands of the worker."""

    job: RealtimeJob
    held: HeldSession
    heard: list[SessionInput] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _events: int = 0

    @property
    def kinds(self) -> list[str]:
        return [item.kind for item in self.heard]

    @property
    def sound(self) -> bytes:
        return b"".join(item.data for item in self.heard if item.kind == "audio")

    async def tell(self, type: str, *, audio: bytes = b"", **fields: Any) -> None:
        self._events += 1
        event = {"type": type, "event_id": f"event_{self._events}", **fields}
        if audio:
            event["delta"] = ""
        await self.held.commit([SessionOutput("event", orjson.dumps(event), audio)], {})

    async def close(self, code: int, reason: str) -> None:
        await self.held.commit([SessionOutput("close", orjson.dumps({"code": code, "reason": reason}))], {})
        self.over.set()

    async def has_left(self) -> bool:
        return "left" in self.kinds


@dataclass
class Worker:
    """The lane's worker. `silent` takes sessions and says nothing, `broken` fails at them."""

    host: SessionHost
    silent: bool = False
    broken: bool = False
    sessions: list[Hosted] = field(default_factory=list)

    async def one(self, number: int = 0) -> Hosted:
        await eventually(lambda: len(self.sessions) > number, within_s=5)
        return self.sessions[number]

    async def __call__(self, job: RealtimeJob, work: Work) -> SessionEnd:
        held = await self.host.take(job.id)
        hosted = Hosted(job, held, session=job.session)
        self.sessions.append(hosted)
        try:
            if self.broken:
                raise ValueError("this worker is broken")
            held.follow(b"0-0")
            if not self.silent:
                await hosted.tell("session.created", session=job.session)
            await self._listen(hosted, work)
            await held.finish()
        finally:
            held.release()
        return SessionEnd(reason="over", duration_s=0.0)

    async def _listen(self, hosted: Hosted, work: Work) -> None:
        while not hosted.over.is_set():
            work.check()
            try:
                async with asyncio.timeout(0.1):
                    found = await hosted.held.read()
            except TimeoutError:
                continue
            for item in found:
                await self._take(hosted, item)

    async def _take(self, hosted: Hosted, item: SessionInput) -> None:
        hosted.heard.append(item)
        if item.kind == "left":
            hosted.over.set()
        elif item.kind == "refused":
            told = orjson.loads(item.data)
            error = {name: told["error"][name] for name in ("type", "code", "message", "param")}
            await hosted.tell("error", error=error | {"event_id": told["event_id"]})
        elif item.kind == "event" and (event := orjson.loads(item.data)).get("type") == "session.update":
            if hosted.session["type"] != "translation":
                hosted.session = merge_session(hosted.session, event["session"], known=KNOWN)
            await hosted.tell("session.updated", session=hosted.session)


@asynccontextmanager
async def working(bus: Bus, **options: Any) -> AsyncIterator[Worker]:
    """Have a worker on the lane of live sessions."""
    async with bus.session_host() as host:
        worker = Worker(host, **options)
        async with bus.serve("realtime", RealtimeJob, worker, concurrency=32):
            await eventually(lambda: bus.attended("realtime"), within_s=5)
            yield worker
