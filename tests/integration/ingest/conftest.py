"""The door on a real bus, with workers that do what a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from antiphon.blobs import Blobs
from antiphon.bus import Bus, Work
from antiphon.models import Catalogue
from antiphon.recognition.discarding import discard_audio
from antiphon.schemas import Delta, Job, Speech, SynthesizeJob, TranscribeJob, Transcript
from antiphon.settings import BlobSettings, BusSettings
from antiphon.stopping import StopRequest
from services.ingest.access.keyring import Keyring
from services.ingest.app import assemble
from services.ingest.leaving import Leaving
from services.ingest.platform import open_platform
from services.ingest.server import listen, serve_http
from services.ingest.settings import IngestSettings
from tests.servers import Server, programs

KEY, OTHER_KEY = "sk-test-0123456789", "sk-other-0123456789"


@dataclass(frozen=True)
class SseEvent:
    """An event as a browser sees it."""

    name: str
    id: str
    data: dict[str, Any]


@dataclass
class Door:
    """A server that listens, and what is behind it."""

    client: httpx.AsyncClient
    other: httpx.AsyncClient
    bus: Bus
    blobs: Blobs
    stop: StopRequest

    async def order(self, **job: Any) -> dict[str, Any]:
        """Post one job that is accepted; return its object."""
        reply = await self.client.post("/v1/jobs", json=job)
        assert reply.status_code == 202, reply.text
        shown: dict[str, Any] = reply.json()
        return shown

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return the object of a job."""
        reply = await self.client.get(f"/v1/jobs/{job_id}")
        assert reply.status_code == 200, reply.text
        shown: dict[str, Any] = reply.json()
        return shown

    async def when(self, job_id: str, status: str) -> dict[str, Any]:
        """Return the object of a job as soon as it has this status."""
        async with asyncio.timeout(15):
            while (shown := await self.job(job_id))["status"] != status:
                await asyncio.sleep(0.02)
            return shown

    async def events(self, job_id: str, *, after: str | None = None) -> AsyncIterator[SseEvent]:
        """Follow a job; comments are passed over."""
        headers = {"last-event-id": after} if after else {}
        async with self.client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as reply:
            assert reply.status_code == 200, reply.status_code
            assert reply.headers["content-type"] == "text/event-stream"
            frame: dict[str, str] = {}
            async for line in reply.aiter_lines():
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    frame[name] = value
                elif frame:
                    yield SseEvent(frame["event"], frame["id"], orjson.loads(frame["data"]))
                    frame = {}


@dataclass
class Scribe:
    """A transcriber that says its words one by one, each when it is let."""

    words: tuple[str, ...] = (" Hello", " there.")
    held: bool = False
    error: Exception | None = None
    begun: list[Job] = field(default_factory=list)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def say(self, words: int = 1) -> None:
        for _ in range(words):
            self._turns.release()

    async def __call__(self, job: TranscribeJob, work: Work) -> Transcript:
        self.begun.append(job)
        for number, word in enumerate(self.words, start=1):
            while self.held:
                work.check()
                try:
                    async with asyncio.timeout(0.02):
                        await self._turns.acquire()
                    break
                except TimeoutError:
                    continue
            if self.error is not None:
                raise self.error
            await work.emit("delta", Delta(delta=word).model_dump_json().encode())
            await work.progress(number, len(self.words))
        text = "".join(self.words)
        return Transcript(task="transcribe", language="en", duration=2.0, text=text, output_tokens=len(self.words))


@pytest.fixture(scope="session")
def server_program() -> Path:
    """One program: what the others do differently concerns the bus alone."""
    return programs()["valkey"]


Serve = Callable[[Door, Any], AbstractAsyncContextManager[Any]]
OpenDoor = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture
def transcriber() -> Serve:
    """Work on the lane `transcribe`, discarding audio as the real one does."""
    return lambda door, handler: door.bus.serve(
        "transcribe", TranscribeJob, handler, concurrency=4, settled=discard_audio(door.blobs)
    )


@pytest.fixture
def synthesizer() -> Serve:
    """Work on the lane `synthesize`: the audio is what was to be said."""

    def serve(door: Door, _: Any = None) -> AbstractAsyncContextManager[Any]:
        async def speak(job: SynthesizeJob, work: Work) -> Speech:
            audio = await door.blobs.put(job.text.encode(), media_type="audio/mpeg")
            await work.progress(len(job.text), len(job.text))
            return Speech(
                media_type="audio/mpeg",
                sample_rate=24_000,
                duration=1.0,
                size=len(job.text.encode()),
                input_tokens=1,
                output_tokens=2,
                audio=audio,
            )

        return door.bus.serve("synthesize", SynthesizeJob, speak, concurrency=4)

    return serve


@pytest.fixture
def open_door(server: Server) -> OpenDoor:
    @asynccontextmanager
    async def open_with(*, bus: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Door]:
        quick: dict[str, Any] = {"lease": timedelta(seconds=2), "backoff": timedelta(milliseconds=20)}
        settings = IngestSettings(
            port=0,
            bus=BusSettings(**({"redis_url": server.url} | quick | (bus or {}))),
            blobs=BlobSettings(),
            **options,
        )
        async with open_platform(settings, Catalogue.load()) as platform:
            listener, stop = listen(settings), StopRequest()
            leaving = Leaving(stop)
            app = assemble(platform, Keyring.parse(f"{KEY},{OTHER_KEY}"), leaving=leaving)
            serving = asyncio.create_task(serve_http(app, settings, listener=listener, leaving=leaving))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            try:
                async with _client(url, KEY) as client, _client(url, OTHER_KEY) as other:
                    yield Door(client, other, platform.bus, platform.blobs, stop)
            finally:
                stop.set()
                await serving

    return open_with


@pytest.fixture
async def door(open_door: OpenDoor) -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened


def _client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=20, follow_redirects=False
    )
