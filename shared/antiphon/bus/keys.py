"""Names of everything in Redis. All keys of a lane share its hash tag, so that a script may touch them together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from antiphon.schemas import PRIORITIES, Kind, Priority

GROUP = "workers"
"""The consumer group of every lane."""


@dataclass(frozen=True)
class LaneKeys:
    """The keys of one lane."""

    kind: Kind

    def jobs(self, priority: Priority) -> str:
        """Stream of jobs that wait or run; trimmed behind the oldest unfinished one."""
        return f"jobs:{{{self.kind}}}:{priority}"

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """The three job streams in the order in which they are served."""
        return tuple(self.jobs(priority) for priority in PRIORITIES)

    @property
    def delayed(self) -> str:
        """Sorted set of jobs that wait for another attempt, scored by the millisecond they are due."""
        return f"jobs:{{{self.kind}}}:delayed"

    @property
    def dead(self) -> str:
        """Stream of dead letters, capped."""
        return f"jobs:{{{self.kind}}}:dead"

    @property
    def cancelled(self) -> str:
        """Sorted set of job ids to be stopped, scored by the millisecond after which the wish is forgotten."""
        return f"cancelled:{{{self.kind}}}"

    @property
    def control(self) -> str:
        """Stream that wakes workers: cancelled and handed-back jobs. Capped and short-lived."""
        return f"control:{{{self.kind}}}"

    @property
    def workers(self) -> str:
        """Hash of living workers and how fast they are."""
        return f"workers:{{{self.kind}}}"

    @property
    def attended(self) -> str:
        """Short-lived mark: a worker has reported lately, so that one that restarts is not missed."""
        return f"attended:{{{self.kind}}}"

    @property
    def tended(self) -> str:
        """Short-lived lock: somebody has just tended the lane."""
        return f"tended:{{{self.kind}}}"

    def result(self, job_id: str) -> str:
        """Outcome of a job, with a TTL."""
        return f"result:{{{self.kind}}}:{job_id}"

    def output(self, job_id: str) -> str:
        """Streamed output of a job, with a TTL."""
        return f"out:{{{self.kind}}}:{job_id}"

    def fence(self, job_id: str) -> str:
        """Attempt that may write to the output, with a TTL."""
        return f"fence:{{{self.kind}}}:{job_id}"

    def checkpoint(self, job_id: str) -> str:
        """Work already done on an unfinished job, with a TTL."""
        return f"ckpt:{{{self.kind}}}:{job_id}"

    def replies(self, name: str) -> str:
        """Stream of outcomes for one caller, with a TTL."""
        return f"replies:{{{self.kind}}}:{name}"

    def idempotency(self, tenant: str, key: str) -> str:
        """Job id that an idempotency key stands for, with a TTL."""
        return f"dedupe:{{{self.kind}}}:{tenant}:{key}"

    def once(self, job_id: str) -> str:
        """Mark of a job that is on its lane only once, with a TTL."""
        return f"once:{{{self.kind}}}:{job_id}"

    @property
    def events(self) -> str:
        """Stream of what became of jobs, for consumer groups; trimmed behind the slowest of them."""
        return f"events:{{{self.kind}}}"

    def record(self, job_id: str) -> str:
        """Hash of what is kept about a tracked job, with a TTL."""
        return f"record:{{{self.kind}}}:{job_id}"

    def listing(self, tenant: str) -> str:
        """Sorted set of a tenant's tracked jobs, scored by the microsecond of their admission, with a TTL."""
        return f"listing:{{{self.kind}}}:{tenant}"

    def batch(self, batch_id: str) -> str:
        """Hash of a batch and of how many of its jobs have ended, with a TTL."""
        return f"batch:{{{self.kind}}}:{batch_id}"

    def batches(self, tenant: str) -> str:
        """Sorted set of a tenant's batches, scored by the millisecond of their making, with a TTL."""
        return f"batches:{{{self.kind}}}:{tenant}"

    def promised(self, priority: Priority) -> str:
        """Sorted set of places promised to refused callers, scored by the millisecond they are due, with a TTL."""
        return f"promised:{{{self.kind}}}:{priority}"


@dataclass(frozen=True)
class SessionKeys:
    """The keys of one live session, each with a TTL that its writer refreshes."""

    session_id: str

    @cached_property
    def input(self) -> str:
        """Stream of what the client has sent; trimmed by who holds the session."""
        return self._name("in")

    @cached_property
    def output(self) -> str:
        """Stream of what the client is sent; trimmed by its door."""
        return self._name("out")

    @cached_property
    def state(self) -> str:
        """Hash of the snapshot from which a successor goes on."""
        return self._name("state")

    @cached_property
    def pen(self) -> str:
        """Token of the attempt that may write the output and the snapshot, and the number of its last commit."""
        return self._name("pen")

    def _name(self, part: str) -> str:
        return f"session:{{realtime}}:{self.session_id}:{part}"


def session_wake(name: str) -> str:
    """Return the stream by which a process interrupts its own read of live sessions, with a TTL."""
    return f"wake:{{realtime}}:{name}"


@dataclass(frozen=True)
class AllowanceKeys:
    """The keys of one account, whose limits are shared by all who act for it; each with a TTL."""

    account: str

    @property
    def level(self) -> str:
        """Hash of the moments at which all requests, and all audio, will be there again."""
        return self._name("level")

    @property
    def running(self) -> str:
        """Sorted set of requests that run, scored by the millisecond until which they count as running."""
        return self._name("running")

    def charged(self, job_id: str) -> str:
        """Mark of a job whose audio has been counted."""
        return self._name(f"charged:{job_id}")

    def _name(self, part: str) -> str:
        return f"limits:{{{self.account}}}:{part}"
