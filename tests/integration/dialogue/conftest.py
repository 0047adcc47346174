"""A desk on a real bus, with a writer and a speaker that do what a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.blobs import open_blobs
from antiphon.bus import Bus, GivenUp, Work
from antiphon.calling import Aftercare, Desk
from antiphon.dialogue.speaking import BYTES_PER_S
from antiphon.errors import UpstreamFailed
from antiphon.schemas import Reply, ReplyDelta, RespondJob, Speech, SynthesizeJob
from antiphon.settings import BlobSettings
from tests.integration.bus.conftest import make_settings
from tests.servers import Server, programs

SECONDS_A_TEXT = 0.5


@dataclass
class Writer:
    """A responder that writes its pieces, and waits before those that are held until it is let go on."""

    pieces: tuple[str, ...]
    held_at: int | None = None
    breaks_at: int | None = None
    breaks: int = 1
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    written: list[str] = field(default_factory=list)
    attempts: int = 0
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, job: RespondJob, work: Work) -> Reply:
        self.attempts += 1
        try:
            for number, piece in enumerate(self.pieces):
                if number == self.held_at:
                    await self.go_on.wait()
                if number == self.breaks_at and self.attempts <= self.breaks:
                    error = UpstreamFailed("It broke off.")
                    raise error if job.restart else GivenUp(error)
                await work.emit("delta", ReplyDelta(text=piece).model_dump_json().encode())
                self.written.append(piece)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Reply(text="".join(self.pieces))


@dataclass
class Speaker:
    """A synthesizer that gives half a second of sound for each text, when it is let."""

    free: asyncio.Event = field(default_factory=asyncio.Event)
    texts: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, job: SynthesizeJob, work: Work) -> Speech:
        assert job.format == "pcm"
        self.texts.append(job.text)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        sound = bytes(int(SECONDS_A_TEXT * BYTES_PER_S))
        for start in range(0, len(sound), 4800):
            await work.emit("audio", sound[start : start + 4800])
        return Speech(
            media_type="audio/pcm", sample_rate=24_000, duration=0.5, size=len(sound), input_tokens=1, output_tokens=10
        )


@pytest.fixture(scope="session")
def server_program() -> Path:
    """One program: what the others do differently concerns the bus alone."""
    return programs()["valkey"]


@pytest_asyncio.fixture
async def desk(server: Server) -> AsyncIterator[Desk]:
    settings = make_settings(server)
    async with (
        Bus.open(settings) as bus,
        open_blobs(BlobSettings(), bus.values) as blobs,
        bus.caller() as caller,
        Aftercare() as aftercare,
    ):
        yield Desk(bus=bus, caller=caller, blobs=blobs, aftercare=aftercare, timeout_s=20.0)


Staff = Callable[[Writer, Speaker], AbstractAsyncContextManager[None]]


@pytest.fixture
def staff(desk: Desk) -> Staff:
    @asynccontextmanager
    async def serve(writer: Writer, speaker: Speaker) -> AsyncIterator[None]:
        async with (
            desk.bus.serve("respond", RespondJob, writer, concurrency=4),
            desk.bus.serve("synthesize", SynthesizeJob, speaker, concurrency=4),
        ):
            yield

    return serve
