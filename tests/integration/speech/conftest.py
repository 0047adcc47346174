"""The door over a real bus, and a worker that makes up what it hears."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from antiphon.bus import Bus, Work
from antiphon.errors import InvalidAudio
from antiphon.models import Catalogue
from antiphon.schemas import Segment, TranscribeJob, Transcript, Word
from antiphon.settings import BlobSettings, BusSettings, EgressSettings
from services.ingest.access.keyring import Keyring
from services.ingest.app import assemble
from services.ingest.platform import Platform, open_platform
from services.ingest.settings import IngestSettings
from tests.servers import Server, programs

KEYS = ("sk-speech-0123456789", "sk-other-0123456789")


@pytest.fixture(scope="session")
def server_program() -> Path:
    """One program: what the others do differently concerns the bus alone."""
    return programs()["valkey"]


@dataclass
class Hearing:
    """A worker: every recording says its name, those called `broken` are no audio. `hold` keeps it from beginning."""

    heard: list[TranscribeJob] = field(default_factory=list)

    async def __call__(self, job: TranscribeJob, work: Work) -> Transcript:
        self.heard.append(job)
        name = job.audio.uri.rpartition("/")[2]
        if "broken" in name:
            raise InvalidAudio("The file is no audio.")
        segment = Segment(
            id=0,
            seek=0,
            start=0.5,
            end=1.5,
            text=f" {name} speaking.",
            tokens=(),
            temperature=0,
            avg_logprob=-0.25,
            compression_ratio=1,
            no_speech_prob=0,
        )
        words = (Word(word=name, start=0.5, end=1.0), Word(word="speaking", start=1.0, end=1.5))
        return Transcript(
            task="transcribe",
            language="de",
            duration=2.5,
            text=segment.text,
            segments=(segment,),
            words=words if job.options.words else None,
        )


@dataclass(frozen=True)
class Scene:
    """The door, what is behind it, and a client with a key for each of two tenants."""

    bus: Bus
    platform: Platform
    client: httpx.AsyncClient
    other: httpx.AsyncClient
    anybody: httpx.AsyncClient
    serve: Callable[[], AbstractAsyncContextManager[Hearing]]


OpenScene = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture
def open_scene(server: Server) -> OpenScene:
    @asynccontextmanager
    async def open_with(**options: Any) -> AsyncIterator[Scene]:
        bus_settings = BusSettings(
            redis_url=server.url, lease=timedelta(seconds=2), drain=timedelta(seconds=10), **options
        )
        settings = IngestSettings(
            bus=bus_settings, blobs=BlobSettings(), egress=EgressSettings(egress_allow=("127.0.0.0/8",))
        )
        async with open_platform(settings, Catalogue.load()) as platform:
            bus = platform.bus
            transport = httpx.ASGITransport(assemble(platform, Keyring.parse(",".join(KEYS))))

            def client(**headers: str) -> httpx.AsyncClient:
                return httpx.AsyncClient(
                    transport=transport, base_url="http://door", headers=headers, timeout=60, trust_env=False
                )

            @asynccontextmanager
            async def serve() -> AsyncIterator[Hearing]:
                hearing = Hearing()
                async with bus.serve("transcribe", TranscribeJob, hearing, concurrency=32):
                    yield hearing

            async with (
                client(**{"ocp-apim-subscription-key": KEYS[0]}) as own,
                client(authorization=f"Bearer {KEYS[1]}") as other,
                client() as anybody,
            ):
                yield Scene(bus, platform, own, other, anybody, serve)

    return open_with


@pytest_asyncio.fixture
async def scene(open_scene: OpenScene) -> AsyncIterator[Scene]:
    async with open_scene() as opened:
        yield opened
