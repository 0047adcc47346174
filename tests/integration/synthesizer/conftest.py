"""The real engines, loaded once, and a job's output kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.audio.samples import Samples
from antiphon.blobs import Blobs, open_blobs
from antiphon.errors import DeadlineExceeded
from antiphon.schemas import EventKind, Job, Priority, now_ms
from antiphon.settings import BlobSettings, WorkerSettings
from services.synthesizer.app import open_synthesize
from services.synthesizer.engines import Limits, Synthesizer
from services.synthesizer.engines.hibari import Hibari
from services.synthesizer.engines.pronunciation import Pronunciation
from services.synthesizer.handlers import Synthesize
from tests.values import Values


class Desk:
    """One attempt at a job whose output stays here; `stop` ends it, and so does the job's deadline."""

    def __init__(self, job: Job, *, priority: Priority = "std", log: list[str] | None = None) -> None:
        self.priority = priority
        self.events: list[bytes] = []
        self.told: list[tuple[float, float | None]] = []
        self.emitted = asyncio.Event()
        self.log = [] if log is None else log
        self._deadline_ms = job.deadline_ms
        self._reason: Exception | None = None

    def stop(self, reason: Exception) -> None:
        """Let the next check raise `reason`."""
        self._reason = reason

    def check(self) -> None:
        """Raise if the work is to stop."""
        if self._reason is not None:
            raise self._reason
        if self._deadline_ms is not None and now_ms() > self._deadline_ms:
            raise DeadlineExceeded("The deadline passed.")

    @property
    def audio(self) -> bytes:
        """All that was written."""
        return b"".join(self.events)

    async def emit(self, kind: EventKind, data: bytes) -> None:
        """Keep an event."""
        self.check()
        assert kind == "audio"
        assert data
        self.events.append(data)
        self.log.append("emit")
        self.emitted.set()

    async def progress(self, done: float, total: float | None) -> None:
        """Keep how far the work is."""
        self.check()
        self.told.append((done, total))


class Recorded:
    """A real engine that writes down what it is asked to speak."""

    def __init__(self, engine: Synthesizer, *, log: list[str] | None = None) -> None:
        self._engine = engine
        self.log = [] if log is None else log

    @property
    def rate(self) -> int:
        """As the engine's."""
        return self._engine.rate

    @property
    def limits(self) -> Limits:
        """As the engine's."""
        return self._engine.limits

    def voices(self) -> tuple[str, ...]:
        """As the engine's."""
        return self._engine.voices()

    def speak(self, text: str, *, voice: str, speed: float) -> Iterator[Samples]:
        """Write the text down in the moment in which the model is called."""
        for sound in self._engine.speak(text, voice=voice, speed=speed):
            self.log.append(text)
            yield sound


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where large payloads lie."""
    return tmp_path_factory.mktemp("blobs")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def blobs(folder: Path) -> AsyncIterator[Blobs]:
    """Stores that keep nothing small."""
    async with open_blobs(BlobSettings(blob_url=folder.as_uri(), blob_inline_bytes=0), Values()) as blobs:
        yield blobs


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def synthesize(blobs: Blobs) -> AsyncIterator[Synthesize]:
    """The handler with every engine of the catalogue."""
    async with open_synthesize(WorkerSettings(), blobs) as handler:
        yield handler


@pytest.fixture(scope="session")
def hibari() -> Hibari:
    """The fast engine alone."""
    return Hibari(None, pronunciation=Pronunciation())
