"""What a handler sees of the bus while it works on a job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from redis.exceptions import ResponseError

from antiphon.bus.announcements import batch_started, job_progressed
from antiphon.bus.connection import TRANSIENT, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.errors import AntiphonError, Cancelled, DeadlineExceeded
from antiphon.schemas import Job, Priority, Progress, Schema

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from antiphon.bus.clock import ServerClock
    from antiphon.bus.output import Output
    from antiphon.bus.scripts import Scripts
    from antiphon.bus.steps import Steps
    from antiphon.schemas import EventKind

_NOTE_S = 1.0
_ANNOUNCE_S = 5.0
"""Between two announcements of how far one job is."""

JobT_contra = TypeVar("JobT_contra", bound=Job, contravariant=True)


class Interrupted(Exception):
    """The attempt ends here, not the job: somebody else goes on with it."""


class LeaseLost(Interrupted):
    """A peer has taken the job over."""


class Draining(Interrupted):
    """This worker is stopping."""


class Ended(Interrupted):
    """The job has a result already: another copy of it was faster."""


class Busy(Interrupted):
    """Another copy of the job is writing its output."""


class Postponed(Interrupted):
    """It is not the time for this job; raised by a handler. The attempt does not count."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"put aside for {delay_s:.1f} s")
        self.delay_s = delay_s


class GivenUp(Exception):
    """The job ends with this error, although another attempt might succeed; raised by a handler.

    For one that has said what it cannot take back.
    """

    def __init__(self, error: AntiphonError) -> None:
        super().__init__(error.message)
        self.error = error


class Handler(Protocol[JobT_contra]):
    """Works on one job and returns its result.

    Raises `AntiphonError`: one that is retryable leads to another attempt, any other ends the job.
    """

    def __call__(self, job: JobT_contra, work: Work) -> Awaitable[Schema]:
        """Do the job."""
        ...


class Work:
    """One attempt at a job."""

    def __init__(
        self,
        job: Job,
        *,
        attempt: int,
        deadline_ms: int | None,
        priority: Priority,
        scripts: Scripts,
        keys: LaneKeys,
        steps: Steps,
        clock: ServerClock,
        output: Output | None = None,
    ) -> None:
        self.job_id = job.id
        self.tenant = job.tenant
        self.attempt = attempt
        self.deadline_ms = deadline_ms
        self.priority = priority
        self._job = job
        self._output = output
        self._steps = steps
        self._clock = clock
        self._scripts = scripts
        self._keys = keys
        self._noted_s = time.monotonic()
        self._announced_s = self._noted_s
        self._reason: Exception | None = None
        self.settling = False
        """The attempt has ended, and the server is being told."""

    @property
    def stopped(self) -> bool:
        """Tell whether to stop: cancelled, past the deadline, lease lost or worker draining. Thread-safe."""
        return self._reason is not None or self._late()

    @property
    def reason(self) -> Exception | None:
        """Why to stop, if so."""
        if self._reason is None and self._late():
            return DeadlineExceeded("The deadline passed before the job was done.")
        return self._reason

    def stop(self, reason: Exception) -> None:
        """Ask the handler to stop. The first reason stands."""
        if self._reason is None:
            self._reason = reason

    def check(self) -> None:
        """Raise `Cancelled`, `DeadlineExceeded` or `Interrupted` if the work is to stop. Thread-safe."""
        reason = self.reason
        if reason is not None:
            raise reason

    async def emit(self, kind: EventKind, data: bytes) -> None:
        """Append to the job's output, in order; nothing happens unless the job is streamed. Raises as `check` does."""
        if self._output is None:
            return
        self.check()
        try:
            verdict = await self._output.append(kind, data)
        except ResponseError as error:
            raise _refused(error) from error
        if verdict == "lost":
            self.stop(LeaseLost("a peer has taken the job over"))
        elif verdict == "ended":
            self.stop(Ended("another copy of the job has ended"))
        elif verdict == "busy":
            self.stop(Busy("another copy of the job is writing"))
        self.check()

    async def progress(self, done: float, total: float | None) -> None:
        """Tell how far the work is: to who follows the output, now and then to the record and the event stream."""
        progress = Progress(done=done, total=total)
        data = progress.model_dump_json()
        now_s = time.monotonic()
        if self._job.tracked and now_s - self._noted_s >= _NOTE_S:
            self._noted_s = now_s
            self._note("progress", data)
        if self._job.announce and now_s - self._announced_s >= _ANNOUNCE_S:
            self._announced_s = now_s
            event = job_progressed(self._job, progress, attempt=self.attempt, now_ms=self._clock.now_ms())
            self._scripts.outbox.send("XADD", self._keys.events, "*", "data", event)
        await self.emit("progress", data.encode())

    def begin(self) -> None:
        """Note that this attempt has begun."""
        now_ms = self._clock.now_ms()
        batch = batch_started(self._job, now_ms=now_ms) if self._job.parent else b""
        self._note("running", 1, "attempts", self.attempt, "started_ms", now_ms, batch_event=batch)

    def rest(self) -> None:
        """Note that this attempt has ended and the job has not."""
        if self._job.tracked:
            self._note("running", 0)

    async def load_checkpoint(self) -> list[bytes]:
        """Return the steps that earlier attempts have finished, in order."""
        return await self._steps.load()

    async def save_checkpoint(self, step: bytes, *, index: int) -> None:
        """Keep a finished step, for a successor of this attempt. Steps from `index` on are replaced by it."""
        self.check()
        try:
            saved = await self._steps.save(step, index=index)
        except ResponseError as error:
            raise _refused(error) from error
        if not saved:
            self.stop(LeaseLost("a peer has taken the job over"))
            self.check()

    def _note(self, *fields: str | int, batch_event: bytes = b"") -> None:
        keys = self._keys
        names = (
            keys.record(self.job_id),
            keys.batch(self._job.parent or "none"),
            keys.events,
            keys.result(self.job_id),
        )
        self._scripts.send("note", names, batch_event, *fields)

    def _late(self) -> bool:
        return self.deadline_ms is not None and self._clock.now_ms() > self.deadline_ms


def cancelled() -> Cancelled:
    """Return the reason of a job that its owner has stopped."""
    return Cancelled("The job was cancelled.")


def _refused(error: ResponseError) -> Exception:
    """A full server is a reason to try later; a server that fails over means no failed attempt at all."""
    return error if isinstance(error, TRANSIENT) else unavailable(error)
