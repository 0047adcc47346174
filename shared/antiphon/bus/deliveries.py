"""What a worker holds: entries of its lane, and the attempts it makes at their jobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from antiphon.schemas import PRIORITIES, Job

if TYPE_CHECKING:
    from antiphon.bus.wire import Envelope
    from antiphon.bus.work import Work

JobT = TypeVar("JobT", bound=Job)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry in our hands."""

    lane: int
    """Index of its stream: 0 hi, 1 std, 2 bulk."""
    entry: bytes
    fields: dict[bytes, bytes]
    deliveries: int
    check_cancelled: bool = True

    @property
    def place(self) -> str:
        """Where on the lane it is: entries of two streams may have the same id."""
        return f"{PRIORITIES[self.lane]}_{self.entry.decode()}"


@dataclass(slots=True)
class Running:
    """A delivery and the task that works on it."""

    delivery: Delivery
    task: asyncio.Task[None]
    job_id: str = ""
    work: Work | None = None

    def stop(self, reason: Exception) -> None:
        """Tell the handler, then interrupt it where it waits."""
        if self.work is not None:
            self.work.stop(reason)
        self.task.cancel()


@dataclass(slots=True)
class Pace:
    """How many jobs a second this worker ends while it has any."""

    done: int = 0
    busy_s: float = 0.0
    rate: float = 0.0
    _since: float | None = field(default=None)

    def begin(self, now: float) -> None:
        """Note that work is going on."""
        if self._since is None:
            self._since = now

    def end(self, now: float, *, idle: bool) -> None:
        """Note that a job ended; `idle` when it was the last one running."""
        self.done += 1
        if idle:
            self._close(now)

    def measure(self, now: float) -> float:
        """Return jobs per second, smoothed over calls."""
        running = self._since is not None
        self._close(now)
        if running:
            self._since = now
        if self.done and self.busy_s > 0:
            latest = self.done / self.busy_s
            self.rate = latest if self.rate == 0 else 0.7 * self.rate + 0.3 * latest
            self.done, self.busy_s = 0, 0.0
        return self.rate

    def _close(self, now: float) -> None:
        if self._since is not None:
            self.busy_s += now - self._since
            self._since = None


@dataclass(frozen=True, slots=True)
class Attempt(Generic[JobT]):
    """One attempt at the job of a delivery, numbered from 1."""

    delivery: Delivery
    envelope: Envelope
    job: JobT
    work: Work
    number: int
    started_ms: int


Held = dict[tuple[int, bytes], Running]
"""Deliveries in hand, by stream index and entry."""
