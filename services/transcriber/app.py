"""Put the transcriber together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from antiphon.blobs import Blobs
from antiphon.bus import Handler
from antiphon.recognition.discarding import discard_audio
from antiphon.recognition.recognition import open_recognition
from antiphon.runtime import Worker
from services.transcriber.handlers import Transcribe
from services.transcriber.settings import Settings


def build(settings: Settings) -> Worker:
    """Return the process of a transcriber."""

    @asynccontextmanager
    async def open_handler(blobs: Blobs) -> AsyncIterator[Handler[Any]]:
        async with open_recognition(settings, blobs, task="transcribe") as recognition:
            yield Transcribe(recognition)

    return Worker(
        name="transcriber",
        lane="transcribe",
        settings=settings,
        concurrency=settings.concurrency,
        open=open_handler,
        settled=discard_audio,
    )
