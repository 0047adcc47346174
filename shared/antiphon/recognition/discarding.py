"""What becomes of a recording when its job has ended."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from antiphon.errors import AntiphonError
from antiphon.schemas import Status, TranscribeJob, TranslateJob

if TYPE_CHECKING:
    from antiphon.blobs import Blobs

logger = logging.getLogger(__name__)

Settled = Callable[[TranscribeJob | TranslateJob, Status, bool], Awaitable[None]]
"""Is told of a job that has ended for good: how, and whether it became a dead letter."""


def discard_audio(blobs: Blobs) -> Settled:
    """Return what deletes the recording of a job that asked for it, as soon as nobody can need it any more."""

    async def discard(job: TranscribeJob | TranslateJob, _status: Status, dead: bool) -> None:
        # Whoever replays a dead letter needs the recording; what nobody replays outlives its time by itself.
        if dead or not job.discard_audio or not blobs.owns(job.audio):
            return
        try:
            await blobs.delete(job.audio)
        except AntiphonError as error:
            logger.warning("a recording could not be deleted", extra={"job": job.id, "cause": error.message})

    return discard
