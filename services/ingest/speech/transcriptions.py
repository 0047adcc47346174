"""Batches on the bus: put there whole or not at all, read, rendered, deleted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from antiphon.bus import Bus, Caller
from antiphon.errors import AntiphonError, NotFound
from antiphon.schemas import BatchRecord, BlobRef, JobRequest, Meter, Outcome, TranscribeJob, Transcript
from services.ingest.speech.definition import Definition
from services.ingest.speech.documents import REPORT_ID, failure_of, report_document, result_document
from services.ingest.speech.times import milliseconds_of, ticks_of

_ALL = 2**31 - 1
_CHUNK = 100
_PROCESSING_S = 31 * 86_400
"""How long a batch may take until its end, from which on its time to live counts."""
_LONGEST_KEEP_S = 31 * 86_400
_SPREAD_S = 86_400
"""The first results of a batch wait for the last ones this long beyond their time to live."""


@dataclass(frozen=True)
class Transcription:
    """A batch and what it was asked for."""

    record: BatchRecord
    definition: Definition


@dataclass(frozen=True)
class RenderedFile:
    """A file of a transcription."""

    file_id: str
    content: bytes
    created_ms: int


class Transcriptions:
    """The batches of all tenants. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, bus: Bus, caller: Caller) -> None:
        self._bus = bus
        self._caller = caller

    async def submit(
        self,
        definition: Definition,
        *,
        tenant: str,
        model: str,
        locate: Callable[[str], str],
        meter: Meter | None = None,
    ) -> Transcription:
        """Put a job for every URL on the bus, with one parent; `locate` gives the URL of a transcription by its id.

        Raises `Overloaded` when there is no room for all of them; then none is left behind.
        """
        batch_id = str(uuid.uuid4())
        definition = definition.model_copy(update={"location": locate(batch_id)})
        now_ms = self._bus.now_ms()
        record = BatchRecord(
            id=batch_id,
            kind="transcribe",
            tenant=tenant,
            created_ms=now_ms,
            updated_ms=now_ms,
            total=len(definition.content_urls),
            definition=_kept(definition),
        )
        await self._bus.batches.create(record, keep_s=definition.time_to_live_s + _PROCESSING_S)
        try:
            await self._publish(record, definition, model=model, meter=meter)
            return await self._keep(record, definition.model_copy(update={"submitted": True}))
        except BaseException:
            # When the bus is away nothing can be taken back; nobody sees what was not put there as a whole.
            with suppress(AntiphonError):
                await self._bus.batches.drop(record)
            raise

    async def find(self, batch_id: str, *, tenant: str) -> Transcription:
        """Return a transcription; one that has ended knows how long its recordings are. Raises `NotFound`."""
        record = await self._bus.batches.find(batch_id, tenant=tenant)
        found = None if record is None else await self._known(record)
        if found is None:
            raise NotFound("The specified transcription does not exist.")
        return await self._concluded(found)

    async def all(self, *, tenant: str) -> list[Transcription]:
        """Return a tenant's transcriptions, the oldest first."""
        records = await self._bus.batches.page(tenant, kind="transcribe", skip=0, top=_ALL)
        return [found for record in records if (found := await self._known(record)) is not None]

    async def update(self, transcription: Transcription, definition: Definition) -> Transcription:
        """Replace what a transcription was asked for."""
        return await self._keep(transcription.record, definition)

    async def delete(self, transcription: Transcription) -> None:
        """Cancel what has not ended and forget the rest."""
        record = transcription.record
        if not record.ended:
            await self._cancel(record.job_id(number) for number in range(record.total))
        await self._bus.batches.drop(record)

    async def files(self, transcription: Transcription, file_ids: Iterable[str]) -> list[RenderedFile]:
        """Render those of the files that there are."""
        record = transcription.record
        if not record.ended:
            return []
        wanted = [file_id for file_id in file_ids if _is_file_id(file_id, record)]
        numbers = [int(file_id) for file_id in wanted if file_id != REPORT_ID]
        outcomes = await self._bus.records.outcomes("transcribe", [record.job_id(number) for number in numbers])
        rendered = await asyncio.to_thread(_render_all, numbers, outcomes, transcription.definition)
        if REPORT_ID in wanted:
            rendered.append(await self._report(transcription))
        return rendered

    async def _report(self, transcription: Transcription) -> RenderedFile:
        outcomes: list[Outcome | None] = []
        async for some in self._outcomes(transcription.record):
            outcomes += [None if each is None else each.model_copy(update={"result": None}) for each in some]
        document = report_document(transcription.definition.content_urls, outcomes)
        ended_ms = transcription.definition.ended_ms or transcription.record.updated_ms
        return RenderedFile(REPORT_ID, orjson.dumps(document), ended_ms)

    async def _publish(self, record: BatchRecord, definition: Definition, *, model: str, meter: Meter | None) -> None:
        """Put all jobs on the bus, or none: what was put there before one was refused is cancelled."""
        for start in range(0, record.total, _CHUNK):
            numbers = range(start, min(start + _CHUNK, record.total))
            jobs = [self._job(record, definition, number, model=model, meter=meter) for number in numbers]
            # Together, so that the bus sends them together; not all thousand, so that other requests get their turn.
            admissions = await asyncio.gather(*map(self._put, jobs), return_exceptions=True)
            refusals = [each for each in admissions if isinstance(each, BaseException)]
            if refusals:
                with suppress(AntiphonError):
                    await self._cancel(record.job_id(number) for number in range(numbers.stop))
                raise refusals[0]

    async def _put(self, job: TranscribeJob) -> None:
        await self._caller.publish(job, priority="bulk", request=JobRequest(priority="bulk", source=job.audio.uri))

    def _job(
        self, record: BatchRecord, definition: Definition, number: int, *, model: str, meter: Meter | None
    ) -> TranscribeJob:
        return TranscribeJob(
            id=record.job_id(number),
            tenant=record.tenant,
            audio=BlobRef(uri=definition.content_urls[number]),
            model=model,
            options=definition.options,
            parent=record.id,
            meter=meter,
            tracked=True,
            announce=False,
            keep_s=min(_LONGEST_KEEP_S, definition.time_to_live_s + _SPREAD_S),
        )

    async def _cancel(self, job_ids: Iterable[str]) -> None:
        await asyncio.gather(*(self._caller.cancel("transcribe", job_id) for job_id in job_ids))

    async def _known(self, record: BatchRecord) -> Transcription | None:
        """Return a batch as a transcription; None for one that is not on the bus as a whole, or has had its time."""
        definition = Definition.model_validate(record.definition)
        if not definition.submitted:
            return None
        ended_ms = definition.ended_ms or (record.updated_ms if record.ended else None)
        if ended_ms is not None and self._bus.now_ms() > ended_ms + definition.time_to_live_s * 1000:
            await self._bus.batches.drop(record)
            return None
        return Transcription(record, definition)

    async def _concluded(self, transcription: Transcription) -> Transcription:
        record, definition = transcription.record, transcription.definition
        if not record.ended or definition.ended_ms is not None:
            return transcription
        duration_ms, failure = 0, None
        async for outcomes in self._outcomes(record):
            for outcome in outcomes:
                if outcome is not None and outcome.status == "completed":
                    duration_ms += milliseconds_of(ticks_of(float((outcome.result or {}).get("duration", 0.0))))
                elif failure is None:
                    failure = failure_of(outcome)
        concluded: dict[str, Any] = {"ended_ms": record.updated_ms, "duration_ms": duration_ms}
        if not record.completed and failure is not None:
            concluded["error"] = {"code": failure["errorKind"], "message": failure["errorMessage"]}
        definition = definition.model_copy(update=concluded)
        # Worked out once; the last action is still that of the last job.
        await self._bus.batches.update(record, _kept(definition), now_ms=record.updated_ms)
        return Transcription(record, definition)

    async def _outcomes(self, record: BatchRecord) -> AsyncIterator[list[Outcome | None]]:
        for start in range(0, record.total, _CHUNK):
            numbers = range(start, min(start + _CHUNK, record.total))
            yield await self._bus.records.outcomes("transcribe", [record.job_id(number) for number in numbers])

    async def _keep(self, record: BatchRecord, definition: Definition) -> Transcription:
        kept, now_ms = _kept(definition), self._bus.now_ms()
        await self._bus.batches.update(record, kept, now_ms=now_ms)
        return Transcription(record.model_copy(update={"definition": kept, "updated_ms": now_ms}), definition)


def _kept(definition: Definition) -> dict[str, Any]:
    return definition.model_dump(mode="json", by_alias=True)


def _is_file_id(file_id: str, record: BatchRecord) -> bool:
    if file_id == REPORT_ID:
        return True
    number = file_id.isascii() and file_id.isdecimal() and len(file_id) < 8
    return number and str(int(file_id)) == file_id and int(file_id) < record.total


def _render_all(
    numbers: Iterable[int], outcomes: Iterable[Outcome | None], definition: Definition
) -> list[RenderedFile]:
    rendered = []
    for number, outcome in zip(numbers, outcomes, strict=True):
        if outcome is None or outcome.status != "completed":
            continue
        finished_ms = outcome.finished_ms or 0
        document = result_document(
            Transcript.model_validate(outcome.result),
            definition,
            source=definition.content_urls[number],
            finished_ms=finished_ms,
        )
        rendered.append(RenderedFile(str(number), orjson.dumps(document), finished_ms))
    return rendered
