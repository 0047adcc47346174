"""A recording goes when its job has ended for good, and stays while it may be needed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.blobs import open_blobs
from antiphon.bus import Bus, Work
from antiphon.errors import Failure, InvalidAudio
from antiphon.recognition.discarding import discard_audio
from antiphon.schemas import Schema, TranscribeJob
from antiphon.settings import BlobSettings, BusSettings
from tests.eventually import eventually
from tests.servers import Server

pytestmark = pytest.mark.integration

LARGE = b"x" * 100_000


class Heard(Schema):
    """What a job leaves."""

    size: int


@pytest_asyncio.fixture
async def bus(server: Server) -> AsyncIterator[Bus]:
    settings = BusSettings(redis_url=server.url, max_attempts=2, backoff=timedelta(milliseconds=10))
    async with Bus.open(settings) as bus:
        yield bus


@pytest.mark.parametrize(
    ("error", "status", "kept"),
    [
        (None, "completed", False),
        (InvalidAudio("This is no audio."), "failed", False),
        (Failure("The engine is out of order."), "failed", True),
    ],
)
async def test_a_recording_is_kept_for_a_replay_alone(
    bus: Bus, tmp_path: Path, error: Exception | None, status: str, kept: bool
) -> None:
    async with open_blobs(BlobSettings(blob_url=tmp_path.as_uri()), bus.values) as blobs:

        async def hear(job: TranscribeJob, work: Work) -> Heard:
            heard = Heard(size=len(await blobs.read(job.audio)))
            if error is not None:
                raise error
            return heard

        job = TranscribeJob(audio=await blobs.put(LARGE), model="whisper-1", discard_audio=True)
        async with (
            bus.serve("transcribe", TranscribeJob, hear, concurrency=1, settled=discard_audio(blobs)),
            bus.caller() as caller,
        ):
            outcome = await (await caller.submit(job)).outcome()
            assert (outcome.status, outcome.attempts) == (status, 2 if kept else 1)
            if not kept:
                await eventually(lambda: not _files(tmp_path))
        assert bool(_files(tmp_path)) == kept


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
