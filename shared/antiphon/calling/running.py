"""A job while its caller waits: bounded in time, cancelled when the caller leaves, its audio removed in the end."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from antiphon.blobs import Blobs
from antiphon.bus import Bus, Call, Caller, OutputEvent
from antiphon.calling.aftercare import Aftercare
from antiphon.calling.pauses import with_pauses
from antiphon.errors import Cancelled, DeadlineExceeded, Failure, JobFailed, Unavailable
from antiphon.schemas import BlobRef, Job, Meter, Outcome, Priority, lowered

_SLACK_S = 2.0
"""A job that expires says so itself; only when no worker is left to say it does this process."""
_CANCEL_PATIENCE_S = 30.0
_KEEP_S = 600
"""The result goes back at once; it is kept only so that a copy of the job finds it."""


@dataclass(frozen=True)
class Desk:
    """What it takes to have work done. `timeout_s` is how long a caller waits who does not say it."""

    bus: Bus
    caller: Caller
    blobs: Blobs
    aftercare: Aftercare
    timeout_s: float
    ceiling: Priority = "hi"
    """The highest priority that the work gets."""
    meter: Meter | None = None
    """What its audio is counted against."""


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

    async def events(self, *, idle_s: float = math.inf) -> AsyncGenerator[OutputEvent | None, None]:
        """Yield the job's output events, and None after each `idle_s` seconds without one.

        Raises `DeadlineExceeded`, `Unavailable`, `Failure` when the stream ends before its outcome.
        """
        source = cast("AsyncGenerator[OutputEvent, None]", self._call.events())
        try:
            async with aclosing(with_pauses(source, idle_s=idle_s, until_s=self._expires_s)) as events:
                async for event in events:
                    self.ended = event is not None and event.kind == "outcome"
                    yield event
                    if self.ended:
                        return
        except TimeoutError:
            raise _expired() from None
        raise Failure("The output of the job ended before its result.")


@asynccontextmanager
async def running(
    desk: Desk,
    job: Job,
    *,
    priority: Priority = "std",
    audio: BlobRef | None = None,
    timeout_s: float | None = None,
) -> AsyncIterator[RunningJob]:
    """Submit `job`; leaving the block before its end cancels it, and deletes `audio`, whatever the end.

    `timeout_s` is how long its caller waits, if not as long as others do. Raises `Overloaded`, `Unavailable`.
    """
    timeout_s = desk.timeout_s if timeout_s is None else timeout_s
    # Who waits is told by the answer itself.
    job = job.model_copy(update={"keep_s": _KEEP_S, "announce": False, "meter": desk.meter})
    try:
        if not await desk.bus.attended(job.kind):
            raise Unavailable(f"No worker for '{job.kind}' is running. Please try again later.", retry_after_s=10.0)
        call = await desk.caller.submit(job, priority=lowered(priority, desk.ceiling), expires_in_s=timeout_s)
    except BaseException:
        desk.aftercare.adopt(_discard(desk.blobs, audio))
        raise
    current = RunningJob(call, expires_s=time.monotonic() + timeout_s + _SLACK_S)
    try:
        yield current
    finally:
        desk.aftercare.adopt(_clean_up(desk.blobs, call, audio, cancel=not current.ended))


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
