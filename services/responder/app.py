"""Put the responder together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from antiphon.blobs import Blobs
from antiphon.bus import Handler
from antiphon.bus.policy import RetryPolicy
from antiphon.models import Catalogue
from antiphon.runtime import Worker
from services.responder.handlers import Respond
from services.responder.library import open_library
from services.responder.settings import Settings

MAX_ATTEMPTS = 3
"""An engine tries again by itself; somebody waits for the answer, who had better hear soon that there is none."""


def build(settings: Settings) -> Worker:
    """Return the process of a responder."""

    @asynccontextmanager
    async def open_handler(blobs: Blobs) -> AsyncIterator[Handler[Any]]:
        catalogue = Catalogue.load(settings.models_file)
        async with open_library(catalogue, settings) as library:
            yield Respond(catalogue=catalogue, engines=library, blobs=blobs)

    return Worker(
        name="responder",
        lane="respond",
        settings=settings,
        concurrency=settings.concurrency,
        open=open_handler,
        retry=RetryPolicy(
            max_attempts=min(MAX_ATTEMPTS, settings.bus.max_attempts),
            backoff=settings.bus.backoff,
            max_backoff=settings.bus.max_backoff,
        ),
    )
