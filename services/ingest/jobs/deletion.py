"""Nothing is left of a job that its owner deletes."""

from __future__ import annotations

import asyncio

from antiphon.blobs import Blobs
from antiphon.schemas import BlobRef, JobRecord, Outcome, Speech
from services.ingest.platform import Platform

_PATIENCE_S = 30.0
_LOOK_S = 0.25


async def delete_job(platform: Platform, record: JobRecord) -> None:
    """Cancel a job unless it has ended, and forget it. Raises `Unavailable`."""
    if not record.ended:
        await platform.caller.cancel(record.kind, record.id)
    await platform.bus.records.drop(record)
    if record.ended:
        await _discard(platform.blobs, record, record.outcome)
    else:
        platform.aftercare.adopt(_sweep(platform, record))


async def _sweep(platform: Platform, record: JobRecord) -> None:
    """Forget what a worker still writes, and leave it the audio until it has stopped."""
    outcome = None
    try:
        # When nobody works on this lane, what is written one day is gone when its time is over.
        for _ in range(round(_PATIENCE_S / _LOOK_S)):
            outcome = await platform.bus.records.outcome(record.kind, record.id)
            if outcome is not None:
                break
            await asyncio.sleep(_LOOK_S)
        await platform.bus.records.drop(record)
    finally:
        await _discard(platform.blobs, record, outcome)


async def _discard(blobs: Blobs, record: JobRecord, outcome: Outcome | None) -> None:
    if record.job.get("discard_audio"):
        await blobs.delete(BlobRef.model_validate(record.job["audio"]))
    if record.kind == "synthesize" and outcome is not None and outcome.status == "completed":
        audio = Speech.model_validate(outcome.result).audio
        if audio is not None:
            await blobs.delete(audio)
