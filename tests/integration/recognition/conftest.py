"""The real recogniser, loaded once, the real decoders, and a job's output kept in memory."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from antiphon.audio.samples import Samples
from antiphon.blobs import Blobs, open_blobs
from antiphon.recognition.recognition import Recognition, open_recognition
from antiphon.recognition.settings import RecognitionSettings
from antiphon.schemas import (
    BlobRef,
    Delta,
    EventKind,
    Job,
    Priority,
    Progress,
    RecognitionOptions,
    TranscribeJob,
    Transcript,
    TranslateJob,
)
from antiphon.settings import BlobSettings
from tests.integration.recognition.clips import Clip, wav_of
from tests.values import Values

SPEECH = Path(__file__).parents[4] / "shared" / "speech"


class Desk:
    """One attempt at a job whose output and checkpoint stay here; `stop` ends it."""

    def __init__(
        self,
        job: Job,
        *,
        priority: Priority = "std",
        checkpoint: Sequence[bytes] = (),
        on_checkpoint: Callable[[Desk], None] = lambda desk: None,
    ) -> None:
        self.job_id = job.id
        self.priority: Priority = priority
        self.events: list[tuple[EventKind, bytes]] = []
        self.steps = list(checkpoint)
        self.saved = 0
        self._on_checkpoint = on_checkpoint
        self._reason: Exception | None = None

    def stop(self, reason: Exception) -> None:
        """Let the next check raise `reason`."""
        self._reason = reason

    def check(self) -> None:
        """Raise if the work is to stop."""
        if self._reason is not None:
            raise self._reason

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

    async def progress(self, done: float, total: float | None) -> None:
        """Keep how far the work is."""
        await self.emit("progress", Progress(done=done, total=total).model_dump_json().encode())

    async def load_checkpoint(self) -> list[bytes]:
        """Return what earlier attempts saved."""
        return list(self.steps)

    async def save_checkpoint(self, step: bytes, *, index: int) -> None:
        """Keep a step, and tell."""
        self.check()
        assert index <= len(self.steps)
        self.steps[index:] = [step]
        self.saved += 1
        self._on_checkpoint(self)


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
