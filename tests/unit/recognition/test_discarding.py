"""When a recording is deleted, and when it is not."""

from __future__ import annotations

import logging
from typing import cast, get_args

import pytest

from antiphon.blobs import Blobs
from antiphon.blobs.store import ValueStore
from antiphon.errors import Unavailable
from antiphon.recognition.discarding import discard_audio
from antiphon.schemas import BlobRef, Status, TranscribeJob
from antiphon.settings import BlobSettings

pytestmark = pytest.mark.unit


class Store(Blobs):
    """Blobs that are only told what to delete."""

    def __init__(self, *, error: Exception | None = None) -> None:
        super().__init__(BlobSettings(blob_url=None), cast("ValueStore", None))
        self.deleted: list[str] = []
        self._error = error

    async def delete(self, ref: BlobRef) -> None:
        if self._error is not None:
            raise self._error
        self.deleted.append(ref.uri)


def _job(uri: str = "redis:abc", *, discard: bool = True) -> TranscribeJob:
    return TranscribeJob(audio=BlobRef(uri=uri), model="whisper-1", discard_audio=discard)


@pytest.mark.parametrize("status", get_args(Status))
async def test_a_job_that_ended_for_good_needs_its_recording_no_more(status: Status) -> None:
    store = Store()
    await discard_audio(store)(_job(), status, False)
    assert store.deleted == ["redis:abc"]


async def test_a_dead_letter_keeps_its_recording_for_the_replay() -> None:
    store = Store()
    await discard_audio(store)(_job(), "failed", True)
    assert store.deleted == []


async def test_a_producer_keeps_what_it_did_not_give_away() -> None:
    store = Store()
    await discard_audio(store)(_job(discard=False), "completed", False)
    assert store.deleted == []


@pytest.mark.parametrize("uri", ["https://example.org/a.wav", "http://example.org/a.wav", "data:audio/wav;base64,QUJD"])
async def test_what_lies_with_somebody_else_is_left_alone(uri: str) -> None:
    store = Store()
    await discard_audio(store)(_job(uri), "completed", False)
    assert store.deleted == []


async def test_a_recording_that_cannot_be_deleted_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await discard_audio(Store(error=Unavailable("The blob store cannot be reached.")))(_job(), "completed", False)
    assert [record.getMessage() for record in caplog.records] == ["a recording could not be deleted"]
