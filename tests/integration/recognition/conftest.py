"""The real recogniser, loaded once, the real decoders, and a job's output kept in memory."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio

from antiphon.audio.samples import Samples
from antiphon.blobs import Blobs, open_blobs
from antiphon.bus import LaneKeys, Work
from antiphon.recognition.recognition import Recognition, open_recognition
from antiphon.recognition.settings import RecognitionSettings
from antiphon.schemas import (
    BlobRef,
    Delta,
    EventKind,
    Job,
    Priority,
    RecognitionOptions,
    TranscribeJob,
    Transcript,
    TranslateJob,
)
from antiphon.settings import BlobSettings
from tests.integration.recognition.clips import Clip, wav_of

SPEECH = Path(__file__).parents[4] / "shared" / "speech"


class Desk(Work):
    """One attempt at a job whose output and checkpoints stay here; it is stopped as on the bus, by `stop`."""

    def __init__(
        self,
        job: Job,
        *,
        priority: Priority = "std",
        checkpoint: bytes | None = None,
        on_checkpoint: Callable[[Desk], None] = lambda desk: None,
    ) -> None:
        unused = cast("Any", None)
        super().__init__(
            job,
            attempt=1,
            deadline_ms=job.deadline_ms,
            priority=priority,
            scripts=unused,
            keys=cast("LaneKeys", unused),
            ttl_s=60,
        )
        self.events: list[tuple[EventKind, bytes]] = []
        self.checkpoints: list[bytes] = []
        self._checkpoint = checkpoint
        self._on_checkpoint = on_checkpoint

    @property
    def deltas(self) -> list[Delta]:
        """The text that was emitted."""
        return [Delta.model_validate_json(data) for kind, data in self.events if kind == "delta"]

    @property
    def said(self) -> str:
        """All that was emitted, together."""
        return "".join(delta.delta for delta in self.deltas)

    async def emit(self, kind: EventKind, data: bytes) -> None:
        """Keep an event."""
        self.check()
        self.events.append((kind, data))

    async def load_checkpoint(self) -> bytes | None:
        """Return what the attempt began with."""
        return self._checkpoint

    async def save_checkpoint(self, data: bytes) -> None:
        """Keep a checkpoint, and tell."""
        self.check()
        self.checkpoints.append(data)
        self._on_checkpoint(self)


class Values:
    """Small payloads in memory."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes, ttl: timedelta) -> None:
        self._values[key] = data

    async def append(self, key: str, data: bytes, ttl: timedelta) -> None:
        self._values[key] = self._values.get(key, b"") + data

    async def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    async def drop(self, key: str) -> None:
        self._values.pop(key, None)


class Bench:
    """Recognises files and samples as a worker would."""

    def __init__(self, blobs: Blobs, transcriber: Recognition, translator: Recognition) -> None:
        self.blobs = blobs
        self.transcriber = transcriber
        self.translator = translator

    async def job(self, audio: Path | Samples | bytes, **options: Any) -> TranscribeJob:
        """Return a job for a file, for samples at 16 kHz, or for bytes."""
        return TranscribeJob(audio=await self.put(audio), model="whisper-1", options=RecognitionOptions(**options))

    async def put(self, audio: Path | Samples | bytes) -> BlobRef:
        """Return a reference to stored audio."""
        if isinstance(audio, Path):
            audio = audio.read_bytes()
        return await self.blobs.put(wav_of(audio) if isinstance(audio, np.ndarray) else audio)

    async def transcribe(self, audio: Path | Samples | bytes, **options: Any) -> Transcript:
        """Transcribe at once."""
        job = await self.job(audio, **options)
        return await self.transcriber.transcript(job, Desk(job))

    async def translate(self, audio: Path | Samples, **options: Any) -> Transcript:
        """Translate at once."""
        job = TranslateJob(audio=await self.put(audio), model="whisper-1", options=RecognitionOptions(**options))
        return await self.translator.transcript(job, Desk(job))


@pytest.fixture(scope="session")
def clips() -> dict[str, Clip]:
    """Recordings of people, with what they say, by file name."""
    if not SPEECH.is_dir():
        pytest.skip("there are no recordings beside this repository")
    with (SPEECH / "manifest.tsv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    return {
        row["file"]: Clip(SPEECH / row["file"], row["language"], row["reference"] or "", float(row["duration"]))
        for row in rows
    }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """A transcriber and a translator, loaded as their processes load them."""
    settings = RecognitionSettings()
    stores = BlobSettings(blob_url=tmp_path_factory.mktemp("blobs").as_uri(), blob_inline_bytes=0)
    async with (
        open_blobs(stores, Values()) as blobs,
        open_recognition(settings, blobs, task="transcribe") as transcriber,
        open_recognition(settings, blobs, task="translate") as translator,
    ):
        yield Bench(blobs, transcriber, translator)


Bare = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def reading() -> Path:
    """A reading of 44 seconds, from the weights' store of samples."""
    store = RecognitionSettings().cache_dir / "weights" / "speech-readings"
    if not store.is_dir():
        pytest.skip("the readings are not pulled: antiphon models pull speech-readings")
    return store / "two_cities.wav"
