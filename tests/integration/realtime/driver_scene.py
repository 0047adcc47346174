"""Realtime workers whose sessions echo, workers of the other lanes that do as they are told, and a client at a door."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from antiphon.blobs import Blobs, open_blobs
from antiphon.bus import Bus, Caller, SessionLine, Work
from antiphon.calling import Aftercare, Desk
from antiphon.models import Catalogue, WeightStore
from antiphon.schemas import (
    Delta,
    RealtimeJob,
    Reply,
    ReplyDelta,
    RespondJob,
    Speech,
    SynthesizeJob,
    TranscribeJob,
    Transcript,
)
from antiphon.settings import BlobSettings, BusSettings
from services.realtime.app import TURN_WEIGHTS, VOICE_WEIGHTS
from services.realtime.ears import open_ears
from services.realtime.handlers import Hold
from services.realtime.installation import Installation
from services.realtime.settings import RealtimeSettings
from tests.integration.realtime.echoes import Echoes
from tests.servers import Server
from tests.workers import ROOT

CHUNK_MS = 40
CHUNK = bytes(48 * CHUNK_MS)


class NoTools:
    """MCP servers that are not there."""

    async def list_tools(self, server: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        raise NotImplementedError

    async def call_tool(self, server: Mapping[str, Any], name: str, arguments: str) -> str:
        raise NotImplementedError


@asynccontextmanager
async def holding(settings: RealtimeSettings) -> AsyncIterator[Hold]:
    """Hold sessions that echo, in this process."""
    store = WeightStore(settings.cache_dir)
    async with (
        Bus.open(settings.session_bus) as bus,
        open_blobs(settings.blobs, bus.values) as blobs,
        open_ears(voice_folder=store.folder(VOICE_WEIGHTS), turn_folder=store.folder(TURN_WEIGHTS)) as ears,
        bus.caller() as caller,
        Aftercare() as aftercare,
        bus.session_host() as host,
    ):
        hold = Hold(
            host=host,
            desk=Desk(bus=bus, caller=caller, blobs=blobs, aftercare=aftercare, timeout_s=30.0),
            ears=ears,
            tools=NoTools(),
            installation=Installation(Catalogue.load(), settings),
            machines={"realtime": Echoes, "transcription": Echoes},
            kept_audio_bytes=settings.realtime_kept_audio_bytes,
        )
        async with bus.serve(
            "realtime", RealtimeJob, hold, concurrency=settings.realtime_concurrency, retry=settings.retry
        ):
            yield hold


def settings_for(url: str, **changed: Any) -> RealtimeSettings:
    return RealtimeSettings(bus=BusSettings(redis_url=url), **changed)


@dataclass
class Writer:
    """A responder that writes its pieces, and waits before those that are held until it is let go on."""

    pieces: tuple[str, ...] = ("One. ", "Two. ", "Three.")
    held_at: int | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, job: RespondJob, work: Work) -> Reply:
        self.asked.append(job.id)
        try:
            for number, piece in enumerate(self.pieces):
                if number == self.held_at:
                    await self.go_on.wait()
                await work.emit("delta", ReplyDelta(text=piece).model_dump_json().encode())
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Reply(text="".join(self.pieces))


@dataclass
class Speaker:
    """A synthesizer whose sound counts: each sample is its own number. It waits half-way until it is let go on."""

    samples: int = 24_000
    held: bool = False
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def sound(self) -> bytes:
        return struct.pack(f"<{self.samples}h", *(number % 32_000 for number in range(self.samples)))

    async def __call__(self, job: SynthesizeJob, work: Work) -> Speech:
        self.asked.append(job.id)
        assert job.format == "pcm"
        sound = self.sound
        try:
            await work.progress(0, len(job.text))
            for start in range(0, len(sound), 9_600):
                if self.held and start >= len(sound) // 2:
                    await self.go_on.wait()
                await work.emit("audio", sound[start : start + 9_600])
            await work.progress(len(job.text), len(job.text))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Speech(
            media_type="audio/pcm",
            sample_rate=24_000,
            duration=1.0,
            size=len(sound),
            input_tokens=1,
            output_tokens=1,
        )


@dataclass
class Listening:
    """A transcriber that has heard how long a recording is."""

    blobs: Blobs
    heard: list[str] = field(default_factory=list)

    async def __call__(self, job: TranscribeJob, work: Work) -> Transcript:
        self.heard.append(job.id)
        wav = await self.blobs.read(job.audio)
        text = f"{len(wav) - 44} bytes"
        await work.emit("delta", Delta(delta=text).model_dump_json().encode())
        return Transcript(task="transcribe", language="en", duration=1.0, text=text)


class Client:
    """The client of a session, and its door."""

    def __init__(self, line: SessionLine) -> None:
        self.line = line
        self.events: list[dict[str, Any]] = []
        self.sound = b""
        self.closed: dict[str, Any] | None = None

    async def send(self, kind: str, **fields: Any) -> None:
        await self.line.write("event", orjson.dumps({"type": kind, **fields}))

    async def append(self, chunks: int, *, chunk: bytes = CHUNK) -> None:
        for _ in range(chunks):
            await self.line.write("audio", chunk)

    async def until(self, kind: str, *, count: int = 1, within_s: float = 20.0) -> dict[str, Any]:
        """Read until an event of this type has come `count` times in all; return the last one."""
        async with asyncio.timeout(within_s):
            while True:
                found = [event for event in self.events if event["type"] == kind]
                if len(found) >= count:
                    return found[count - 1]
                await self._read()

    async def until_closed(self, *, within_s: float = 20.0) -> dict[str, Any]:
        async with asyncio.timeout(within_s):
            while self.closed is None:
                await self._read()
        return self.closed

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def numbers(self) -> list[int]:
        """Return the numbers of all events that the machine made."""
        ids = [event["event_id"].removeprefix("event_") for event in self.events]
        return [int(number) for number in ids if number.isdigit() and len(number) < 10]

    async def _read(self) -> None:
        for output in await self.line.read():
            if output.kind == "close":
                self.closed = orjson.loads(output.data)
            else:
                event = orjson.loads(output.data)
                if output.audio:
                    assert event["delta"] == ""
                    self.sound += output.audio
                self.events.append(event)
            self.line.sent(output.entry)


@dataclass
class Stage:
    """A bus with a door, and what publishes sessions."""

    bus: Bus
    caller: Caller
    blobs: Blobs
    door: Any
    made: int = 0

    async def begin(self, *, format: str = "audio/pcm") -> tuple[Client, RealtimeJob]:
        """Begin a session."""
        self.made += 1
        job = RealtimeJob(
            id=f"sess_{self.made:021d}",
            session={
                "type": "realtime",
                "model": "gpt-realtime",
                "audio": {"input": {}, "output": {"format": {"type": format}}},
            },
        )
        line = self.door.open(job.id)
        await self.caller.publish(job, priority="hi", reply=None)
        return Client(line), job


@asynccontextmanager
async def open_stage(url: str) -> AsyncIterator[Stage]:
    settings = BusSettings(redis_url=url, lease=timedelta(seconds=2), backoff=timedelta(milliseconds=20))
    async with (
        Bus.open(settings) as bus,
        open_blobs(BlobSettings(), bus.values) as blobs,
        bus.caller() as caller,
        bus.session_door() as door,
    ):
        yield Stage(bus, caller, blobs, door)


@contextmanager
def worker(server: Server, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a realtime worker whose sessions echo, in a process of its own that a test may kill."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.realtime.driver_worker"],
        cwd=ROOT,
        env=os.environ | {"REDIS_URL": server.url} | environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
