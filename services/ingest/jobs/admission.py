"""Orders become jobs on their lanes: all of a request's, or none."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from antiphon.bus import Admitted
from antiphon.errors import AntiphonError, Failure, Overloaded, Unavailable
from antiphon.schemas import (
    BlobRef,
    Job,
    JobRecord,
    JobRequest,
    Meter,
    SynthesizeJob,
    TranscribeJob,
    TranslateJob,
    WebhookTarget,
    new_job_id,
)
from antiphon.webhooks.signing import new_secret
from services.ingest.jobs.errors import IdempotencyKeyReused
from services.ingest.jobs.orders import Order, OrderBook
from services.ingest.parameters.speech import SpeechRequest
from services.ingest.platform import Platform

_LOG = logging.getLogger("antiphon.ingest")
_AT_ONCE = 64
_KEY_LIFE = timedelta(days=1)
_GENERATIONS = 16
"""How often a key may be used anew after its job was deleted."""
_WITHDRAWAL_S = 5.0


@dataclass(frozen=True)
class Placed:
    """A job that stands for an order. `secret` is the one that was made for its webhook just now."""

    record: JobRecord
    replayed: bool
    secret: str | None


class Admission:
    """Carries out the orders of one request."""

    def __init__(self, platform: Platform, book: OrderBook) -> None:
        self._platform = platform
        self._book = book
        self._made: list[Job] = []
        """Jobs that are, or may be, on a lane because of this request."""

    async def place_all(self) -> list[Placed]:
        """Put every job on its lane. When one is refused, those before it are withdrawn unless a key leads to them.

        Raises `Overloaded`, `Unavailable`, `IdempotencyKeyReused`.
        """
        orders = self._book.orders
        # Jobs of the same millisecond are listed by id.
        ids = sorted(new_job_id() for _ in orders)
        try:
            await self._claim_key()
            placed: list[Placed] = []
            for start in range(0, len(orders), _AT_ONCE):
                chunk = range(start, min(start + _AT_ONCE, len(orders)))
                results = await asyncio.gather(
                    *(self._place(orders[index], ids[index], index) for index in chunk), return_exceptions=True
                )
                placed += _whole(results)
        except (Unavailable, asyncio.CancelledError):
            # Whoever comes again under the key finds what was put, and may have found it already.
            if self._book.key is None:
                await asyncio.shield(self._withdraw())
            raise
        except BaseException:
            await asyncio.shield(self._withdraw())
            raise
        return placed

    async def _claim_key(self) -> None:
        """Remember what the key is used for, on whichever lanes. Raises `IdempotencyKeyReused`."""
        if self._book.key is None:
            return
        values, fingerprint = self._platform.bus.values, self._book.fingerprint.encode()
        digest = hashlib.sha256(self._book.key.encode()).hexdigest()
        name = f"idempotency:{self._book.tenant}:{digest}"
        if await values.get(name) not in (None, fingerprint):
            raise IdempotencyKeyReused
        await values.put(name, fingerprint, _KEY_LIFE)

    async def _place(self, order: Order, job_id: str, index: int) -> Placed:
        secret = _secret_for(order.wanted.webhook)
        job = job_of(
            order,
            id=job_id,
            tenant=self._book.tenant,
            created_ms=self._platform.bus.now_ms(),
            audio=await self._audio(order),
            secret=secret,
            meter=self._book.meter,
        )
        self._made.append(job)
        for generation in range(_GENERATIONS):
            admitted = await self._publish(order, job, key=self._key(index, generation))
            record = await self._platform.bus.records.find(admitted.job_id, tenant=self._book.tenant)
            if not admitted.known:
                return Placed(record or _unseen(order, job), replayed=False, secret=secret)
            if record is None:
                # The key's job was deleted or withdrawn, and with it what the key stood for.
                continue
            self._made.remove(job)
            await self._discard(job)
            if record.request.fingerprint != order.fingerprint:
                raise IdempotencyKeyReused
            return Placed(record, replayed=True, secret=None)
        raise IdempotencyKeyReused

    async def _publish(self, order: Order, job: Job, *, key: str | None) -> Admitted:
        try:
            return await self._platform.caller.publish(
                job,
                priority=order.wanted.priority,
                idempotency_key=key,
                expires_in_s=order.wanted.expires_in_s,
                request=request_of(order),
            )
        except Overloaded:
            # This one is certainly not on its lane.
            self._made.remove(job)
            await self._discard(job)
            raise

    async def _audio(self, order: Order) -> BlobRef | None:
        source = order.wanted.audio
        if source is None:
            return order.upload
        if source.uri is not None:
            return BlobRef(uri=source.uri)
        # A job and its record are kept in memory; what they carry is not.
        return await self._platform.blobs.put(source.inline or b"", media_type=source.media_type)

    def _key(self, index: int, generation: int) -> str | None:
        if self._book.key is None:
            return None
        place = f"[{index}]" if self._book.listed else ""
        return f"{self._book.key}{place}" + (f"~{generation}" if generation else "")

    async def _withdraw(self) -> None:
        """Undo what can be undone before the caller is told, who may try again at once."""
        try:
            async with asyncio.timeout(_WITHDRAWAL_S):
                await asyncio.gather(*(self._take_back(job) for job in self._made))
                if not self._made:
                    await asyncio.gather(
                        *(self._platform.blobs.delete(order.upload) for order in self._book.orders if order.upload)
                    )
        except (AntiphonError, TimeoutError) as error:
            _LOG.warning("jobs of a refused request could not be withdrawn", exc_info=error)

    async def _take_back(self, job: Job) -> None:
        await self._platform.caller.cancel(job.kind, job.id)
        record = JobRecord(job=job.model_dump(mode="json"), kind=job.kind, request=JobRequest(), state="queued")
        await self._platform.bus.records.drop(record)
        await self._discard(job)

    async def _discard(self, job: Job) -> None:
        if isinstance(job, TranscribeJob | TranslateJob) and job.discard_audio:
            await self._platform.blobs.delete(job.audio)


def job_of(
    order: Order,
    *,
    id: str,
    tenant: str,
    created_ms: int,
    audio: BlobRef | None,
    secret: str | None = None,
    meter: Meter | None = None,
) -> Job:
    """Return the job that carries out an order. Audio that came with the request goes when the job has ended."""
    wanted = order.wanted
    webhook = wanted.webhook
    if webhook is not None and secret is not None:
        webhook = webhook.model_copy(update={"secret": secret})
    terms = {
        "id": id,
        "tenant": tenant,
        "created_ms": created_ms,
        "stream": wanted.stream,
        "keep_s": wanted.keep_s,
        "metadata": dict(wanted.metadata),
        "tracked": True,
        "webhook": webhook,
        "model": wanted.model,
        "meter": meter,
    }
    asked = wanted.wanted
    if isinstance(asked, SpeechRequest):
        spoken = {"voice": asked.voice, "instructions": asked.instructions, "format": asked.format}
        return SynthesizeJob.model_validate({**terms, **spoken, "text": asked.text, "speed": asked.speed})
    schema = TranscribeJob if wanted.kind == "transcribe" else TranslateJob
    discard = wanted.audio is None or wanted.audio.uri is None
    return schema.model_validate({**terms, "audio": audio, "options": asked.options, "discard_audio": discard})


def request_of(order: Order) -> JobRequest:
    """Return what is kept of an order besides its job."""
    asked = order.wanted.wanted
    return JobRequest(
        priority=order.wanted.priority,
        format=None if isinstance(asked, SpeechRequest) else asked.format,
        granularities=() if isinstance(asked, SpeechRequest) else tuple(sorted(asked.granularities)),
        source=order.source,
        fingerprint=order.fingerprint,
    )


def _secret_for(webhook: WebhookTarget | None) -> str | None:
    """Return a new secret for a URL that came without one."""
    return new_secret() if webhook is not None and webhook.url is not None and webhook.secret is None else None


def _unseen(order: Order, job: Job) -> JobRecord:
    """Return the record of a job that somebody has deleted before it could be read back."""
    return JobRecord(job=job.model_dump(mode="json"), kind=job.kind, request=request_of(order), state="queued")


def _whole(results: Sequence[Placed | BaseException]) -> list[Placed]:
    """Return results that hold no error. Raises the first error."""
    placed = []
    for result in results:
        if isinstance(result, AntiphonError):
            raise result
        if isinstance(result, BaseException):
            raise Failure("The server had an error while processing your request.") from result
        placed.append(result)
    return placed
