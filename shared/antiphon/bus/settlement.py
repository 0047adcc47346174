"""How a delivery ends: with an outcome, another attempt, a dead letter, or in the hands of a peer."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError
from redis.exceptions import ResponseError

from antiphon.bus.allowances import Allowances, audio_seconds_of
from antiphon.bus.announcements import batch_ended, job_ended
from antiphon.bus.connection import TRANSIENT
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.output import pen_of
from antiphon.bus.wire import flatten, pack, salvage_id
from antiphon.bus.work import Draining
from antiphon.errors import AntiphonError, InvalidValue
from antiphon.schemas import PRIORITIES, ErrorInfo, Status, now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.bus.attempts import Attempt
    from antiphon.bus.deliveries import Delivery
    from antiphon.bus.figures import Figures
    from antiphon.bus.policy import RetryPolicy
    from antiphon.bus.scripts import Scripts
    from antiphon.settings import BusSettings

logger = logging.getLogger(__name__)


Settled = Callable[[Any, Status, bool], Awaitable[None]]
"""Told of each job that has ended here for good: the job, how, and whether a dead letter keeps it to be put back."""


class Settler:
    """Ends deliveries of one lane. Each end is one script: all of it happens, or none."""

    def __init__(
        self,
        scripts: Scripts,
        keys: LaneKeys,
        settings: BusSettings,
        consumer: str,
        *,
        retry: RetryPolicy,
        settled: Settled | None,
        figures: Figures,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._settings = settings
        self._consumer = consumer
        self._policy = retry
        self._settled = settled
        self._figures = figures

    async def end(
        self,
        at: Attempt[Any],
        status: Status,
        *,
        result: dict[str, Any] | None = None,
        error: ErrorInfo | None = None,
        dead: bytes = b"",
    ) -> None:
        """Make a job's outcome visible and acknowledge the delivery."""
        at.work.settling = True
        finished_ms = now_ms()
        outcome: dict[str, Any] = {
            "id": at.job.id,
            "status": status,
            "attempts": at.number,
            "started_ms": at.started_ms,
            "finished_ms": finished_ms,
            "worker": self._consumer,
        }
        if result is not None:
            outcome["result"] = result
        if error is not None:
            outcome["error"] = error.model_dump()
        job = at.job
        if job.meter is not None and status == "completed":
            # Before it is settled: who is told of the result is told what is left then.
            Allowances(self._scripts).charge_job(job.meter, job.id, audio_seconds_of(result or {}))
        first = await self._settle(
            at.delivery,
            job_id=job.id,
            reply=at.envelope.reply,
            streamed=job.stream,
            keep_s=job.keep_s,
            outcome=orjson.dumps(outcome),
            dead=dead,
            event=job_ended(at, status, error=error, finished_ms=finished_ms) if job.announce else b"",
            status=status,
            attempts=at.number,
            finished_ms=finished_ms,
            tracked=job.tracked,
            parent=job.parent,
            batch_event=batch_ended(at, now_ms=finished_ms) if job.parent else b"",
            # Who has lost the lease may still bring the result, but not fail the job of the peer that works on it now,
            # nor close an output that the peer is writing.
            ours=status != "completed" or job.stream,
        )
        if first and self._settled is not None:
            try:
                await self._settled(job, status, bool(dead))
            except Exception:
                logger.exception("what follows a job failed", extra={"lane": self._keys.kind, "job": job.id})

    async def fail(self, at: Attempt[Any], error: AntiphonError, *, final: bool = False) -> None:
        """Put a failed attempt aside for another one, or end the job as failed."""
        if error.retryable and not final and not self._policy.exhausted(at.number):
            delay_ms = self._policy.delay_ms(at.number, jitter=random.random(), asked_s=error.retry_after_s)  # noqa: S311
            ended = await self._put_aside(at, attempt=at.number, delay_ms=delay_ms)
            self._figures.attempt_ended("retried" if ended else "lost")
            return
        # A caller's own mistake is an answer, not a letter for the operator to replay.
        dead = b"" if error.http_status < 500 else self._letter(at.delivery, at.job.id, error.message, at.number)
        await self.end(at, "failed", error=error.info(), dead=dead)

    async def postpone(self, at: Attempt[Any], *, delay_s: float | None = None) -> None:
        """Put a job aside without counting an attempt: another copy runs, or it is not the time for it."""
        delay_ms = int(1000 * (self._settings.lease.total_seconds() / 2 if delay_s is None else delay_s))
        ended = await self._put_aside(at, attempt=at.number - 1, delay_ms=delay_ms)
        self._figures.attempt_ended("postponed" if ended else "lost")

    async def _put_aside(self, at: Attempt[Any], *, attempt: int, delay_ms: int) -> bool:
        at.work.settling = True
        # The id goes with it: one that was made from the entry must outlive the entry.
        fields = flatten(at.delivery.fields, attempt=attempt, id=at.job.id)
        member = pack([at.delivery.lane + 1, *fields])
        keys = (self._keys.streams[at.delivery.lane], self._keys.delayed, self._keys.fence(at.job.id))
        entry, pen = at.delivery.entry, pen_of(at.delivery)
        at.work.rest()
        return bool(
            await self._insist(
                lambda: self._scripts.run("retry", keys, GROUP, self._consumer, entry, delay_ms, member, pen)
            )
        )

    async def bury_malformed(self, delivery: Delivery, error: Exception) -> None:
        """End an entry that holds no job that can be read."""
        job_id = salvage_id(delivery.fields, delivery.place)
        reason = InvalidValue(f"The job cannot be read: {_first_line(error)}")
        outcome = {"id": job_id, "status": "failed", "attempts": 0, "error": reason.info().model_dump()}
        reply = delivery.fields.get(b"reply", b"").decode(errors="replace")
        await self._settle(
            delivery,
            job_id=job_id,
            reply=reply if reply.isascii() and 0 < len(reply) <= 200 else None,
            streamed=False,
            keep_s=86_400,
            outcome=orjson.dumps(outcome),
            dead=self._letter(delivery, job_id, reason.message, 0),
            ours=True,
            status="failed",
        )

    def _letter(self, delivery: Delivery, job_id: str, error: str, attempts: int) -> bytes:
        fields = flatten(
            delivery.fields,
            id=job_id,
            error=error[:1000],
            attempts=attempts,
            source=PRIORITIES[delivery.lane],
            worker=self._consumer,
        )
        return pack(fields)

    async def _settle(
        self,
        delivery: Delivery,
        *,
        job_id: str,
        reply: str | None,
        streamed: bool,
        keep_s: int,
        outcome: bytes,
        dead: bytes,
        ours: bool,
        status: Status,
        event: bytes = b"",
        attempts: int = 0,
        finished_ms: int = 0,
        tracked: bool = False,
        parent: str | None = None,
        batch_event: bytes = b"",
    ) -> bool:
        keys = self._keys
        names = (
            keys.streams[delivery.lane],
            keys.result(job_id),
            keys.replies(reply or "none"),
            keys.output(job_id),
            keys.fence(job_id),
            keys.checkpoint(job_id),
            keys.dead,
            keys.cancelled,
            keys.events,
            keys.record(job_id),
            keys.batch(parent or "none"),
        )
        verdict = await self._insist(
            lambda: self._scripts.settle(
                names,
                group=GROUP,
                consumer=self._consumer,
                entry=delivery.entry,
                ours=ours,
                outcome=outcome,
                keep_s=keep_s,
                job_id=job_id,
                replies=reply is not None,
                streamed=streamed,
                output_ttl_s=int(self._settings.output_ttl.total_seconds()),
                dead_limit=self._settings.dead_limit,
                dead=dead,
                event=event,
                status=status,
                attempts=attempts,
                finished_ms=finished_ms,
                tracked=tracked,
                batch_event=batch_event,
            )
        )
        first = bool(verdict == 1)
        if not attempts:
            self._figures.attempt_ended("malformed")
        else:
            self._figures.attempt_ended("settled" if verdict else "lost")
        if first:
            self._figures.job_ended(status, dead=bool(dead))
        return first

    async def _insist(self, settle: Callable[[], Awaitable[Any]]) -> Any:
        """Repeat a script while the server is away. Harmless: it acts only on a delivery that has not ended."""
        end = time.monotonic() + 2 * self._settings.lease.total_seconds()
        pause = 0.05
        while True:
            try:
                return await settle()
            except (*TRANSIENT, ResponseError) as error:
                if time.monotonic() > end:
                    logger.error(
                        "a job could not be settled", extra={"lane": self._keys.kind, "cause": str(error)[:200]}
                    )
                    return None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def hand_back(self, at: Attempt[Any]) -> None:
        """Let any peer go on with a job that was interrupted."""
        at.work.settling = True
        begun = not isinstance(at.work.reason, Draining)
        await self._insist(lambda: self.release([at.delivery], begun=begun))
        self._figures.attempt_ended("handed_back")

    async def leave(self) -> None:
        """Hand back all that this consumer still holds, and strike it off. Raises `redis.RedisError` or `OSError`."""
        names = (*self._keys.streams, self._keys.control, self._keys.workers)
        # A server that has answered has seen the end of the reads that were cut off: it gives them nothing more.
        await self._scripts.outbox.call_at(self._keys.workers, "PING")
        await self._scripts.run("leave", names, GROUP, self._consumer)

    async def release(self, deliveries: Sequence[Delivery], *, begun: bool = False) -> None:
        """Hand deliveries back at once. One that `begun` counts as an attempt; a drained one does not."""
        args: list[str | bytes | int] = []
        for delivery in deliveries:
            args += [
                delivery.lane + 1,
                delivery.entry,
                delivery.deliveries if begun else max(delivery.deliveries - 1, 0),
            ]
        await self._scripts.run("release", (*self._keys.streams, self._keys.control), GROUP, self._consumer, *args)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'the JSON'}: {first['msg']}"
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
