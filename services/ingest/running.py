"""A job while its caller waits: bounded in time, cancelled when the caller leaves, its audio removed in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

from antiphon.blobs import Blobs
from antiphon.bus import Call, OutputEvent
from antiphon.errors import Cancelled, DeadlineExceeded, Failure, JobFailed, Unavailable
from antiphon.schemas import BlobRef, Job, Outcome
from services.ingest.platform import Platform

_SLACK_S = 2.0
"""A job that expires says so itself; only when no worker is left to say it does this process."""
_CANCEL_PATIENCE_S = 30.0
_KEEP_S = 600
"""The result goes back at once; it is kept only so that a copy of the job finds it."""


class RunningJob:
    """A submitted job."""

    def __init__(self, call: Call, *, expires_s: float) -> None:
        self._call = call
        self._expires_s = expires_s
        self.ended = False

    async def result(self) -> dict[str, Any]:
        """Wait for the result. Raises the job's error, `DeadlineExceeded`, `Cancelled`, `Unavailable`."""
        try:
            async with asyncio.timeout(max(0.0, self._expires_s - time.monotonic())):
                outcome = await self._call.outcome()
        except TimeoutError:
            raise _expired() from None
        self.ended = True
        return result_of(outcome)

    async def events(self, *, idle_s: float) -> AsyncGenerator[OutputEvent | None, None]:
        """Yield the job's output events, and None after each `idle_s` seconds without one.

        Raises `DeadlineExceeded`, `Unavailable`, `Failure` when the stream ends before its outcome.
        """
        source = cast("AsyncGenerator[OutputEvent, None]", self._call.events())
        pending: asyncio.Task[OutputEvent | None] | None = None
        try:
            while True:
                pending = pending or asyncio.create_task(_next(source))
                left_s = self._expires_s - time.monotonic()
                await asyncio.wait({pending}, timeout=max(0.0, min(idle_s, left_s)))
                if not pending.done():
                    if left_s <= idle_s:
                        raise _expired()
                    yield None
                    continue
                event, pending = pending.result(), None
                if event is None:
                    raise Failure("The output of the job ended before its result.")
                self.ended = event.kind == "outcome"
                yield event
                if self.ended:
                    return
        finally:
            if pending:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)
            await source.aclose()


@asynccontextmanager
async def running(
    platform: Platform, job: Job, *, audio: BlobRef | None = None, timeout: timedelta | None = None
) -> AsyncIterator[RunningJob]:
    """Submit `job`; leaving the block before its end cancels it.

    `timeout` is how long its caller waits, if not as long as others do. Raises `Overloaded`, `Unavailable`.
    """
    timeout_s = (timeout or platform.settings.request_timeout).total_seconds()
    # Who waits is told by the answer itself.
    job = job.model_copy(update={"keep_s": _KEEP_S, "announce": False})
    try:
        if not await platform.bus.attended(job.kind):
            raise Unavailable(f"No worker for '{job.kind}' is running. Please try again later.", retry_after_s=10.0)
        call = await platform.caller.submit(job, expires_in_s=timeout_s)
    except BaseException:
        platform.aftercare.adopt(_discard(platform.blobs, audio))
        raise
    current = RunningJob(call, expires_s=time.monotonic() + timeout_s + _SLACK_S)
    try:
        yield current
    finally:
        platform.aftercare.adopt(_clean_up(platform.blobs, call, audio, cancel=not current.ended))


def result_of(outcome: Outcome) -> dict[str, Any]:
    """Return a completed job's result. Raises the error of one that ended otherwise."""
    match outcome.status:
        case "completed":
            return outcome.result or {}
        case "cancelled":
            raise Cancelled("The job was cancelled.")
        case "expired":
            raise _expired()
    raise JobFailed(outcome.error) if outcome.error else Failure("The job failed.")


def _expired() -> DeadlineExceeded:
    return DeadlineExceeded("The request was not finished in time.")


async def _next(source: AsyncIterator[OutputEvent]) -> OutputEvent | None:
    return await anext(source, None)


async def _clean_up(blobs: Blobs, call: Call, audio: BlobRef | None, *, cancel: bool) -> None:
    try:
        if cancel:
            await call.cancel()
        if cancel and audio:
            # Until it has noticed, a worker may be about to open the audio.
            async with asyncio.timeout(_CANCEL_PATIENCE_S):
                await call.outcome()
    except TimeoutError:
        pass
    finally:
        call.abandon()
        await _discard(blobs, audio)


async def _discard(blobs: Blobs, audio: BlobRef | None) -> None:
    if audio:
        await blobs.delete(audio)
