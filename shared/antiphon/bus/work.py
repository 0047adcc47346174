"""What a handler sees of the bus while it works on a job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from redis.exceptions import ResponseError

from antiphon.bus.connection import TRANSIENT, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.errors import Cancelled, DeadlineExceeded
from antiphon.schemas import Job, Priority, Progress, Schema

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from antiphon.bus.output import Output
    from antiphon.bus.scripts import Scripts
    from antiphon.schemas import EventKind

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
        ttl_s: int,
        output: Output | None = None,
    ) -> None:
        self.job_id = job.id
        self.tenant = job.tenant
        self.attempt = attempt
        self.deadline_ms = deadline_ms
        self.priority = priority
        self._output = output
        self._keep_s = max(job.keep_s, ttl_s)
        self._scripts = scripts
        self._keys = keys
        self._reason: Exception | None = None

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
        """Tell how far the work is."""
        await self.emit("progress", Progress(done=done, total=total).model_dump_json().encode())

    async def load_checkpoint(self) -> bytes | None:
        """Return what an earlier attempt saved last."""
        saved: Any = await self._scripts.outbox.call("GET", self._keys.checkpoint(self.job_id))
        return saved if saved is None else bytes(saved)

    async def save_checkpoint(self, data: bytes) -> None:
        """Keep what is done, for a successor of this attempt."""
        self.check()
        try:
            await self._scripts.outbox.call("SET", self._keys.checkpoint(self.job_id), data, "EX", self._keep_s)
        except ResponseError as error:
            raise _refused(error) from error

    def _late(self) -> bool:
        return self.deadline_ms is not None and time.time() * 1000 > self.deadline_ms


def cancelled() -> Cancelled:
    """Return the reason of a job that its owner has stopped."""
    return Cancelled("The job was cancelled.")


def _refused(error: ResponseError) -> Exception:
    """A full server is a reason to try later; a server that fails over means no failed attempt at all."""
    return error if isinstance(error, TRANSIENT) else unavailable(error)
