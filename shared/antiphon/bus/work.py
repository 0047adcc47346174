"""What a handler sees of the bus while it works on a job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from antiphon.bus.keys import LaneKeys
from antiphon.errors import Cancelled, DeadlineExceeded
from antiphon.schemas import Job, Priority, Progress, Schema

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from antiphon.bus.scripts import Scripts
    from antiphon.schemas import EventKind

JobT_contra = TypeVar("JobT_contra", bound=Job, contravariant=True)


class Interrupted(Exception):
    """The attempt ends here, not the job: somebody else goes on with it."""


class LeaseLost(Interrupted):
    """A peer has taken the job over."""


class Draining(Interrupted):
    """This worker is stopping."""


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
    ) -> None:
        self.job_id = job.id
        self.tenant = job.tenant
        self.attempt = attempt
        self.deadline_ms = deadline_ms
        self.priority = priority
        self._streamed = job.stream
        self._keep_s = max(job.keep_s, ttl_s)
        self._scripts = scripts
        self._keys = keys
        self._ttl_s = ttl_s
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
        """Append to the job's output, in order; nothing happens unless the job is streamed. Raises `LeaseLost`."""
        if not self._streamed:
            return
        self.check()
        keys = (self._keys.output(self.job_id), self._keys.fence(self.job_id))
        if not await self._scripts.run("append", keys, self.attempt, kind, data, self._ttl_s):
            self.stop(LeaseLost("a later attempt writes the output"))
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
        await self._scripts.outbox.call("SET", self._keys.checkpoint(self.job_id), data, "EX", self._keep_s)

    def _late(self) -> bool:
        return self.deadline_ms is not None and time.time() * 1000 > self.deadline_ms


def cancelled() -> Cancelled:
    """Return the reason of a job that its owner has stopped."""
    return Cancelled("The job was cancelled.")
