"""The figures of one lane in one worker. Only what works on jobs imports this: a producer has no metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from antiphon.schemas import PRIORITIES, Kind, Status
from antiphon.telemetry import instruments

if TYPE_CHECKING:
    from collections.abc import Sized

    from antiphon.bus.deliveries import Delivery

AttemptEnd = Literal["settled", "retried", "postponed", "handed_back", "lost", "malformed"]

_ENDS: tuple[AttemptEnd, ...] = ("settled", "retried", "postponed", "handed_back", "lost", "malformed")
_STATUSES: dict[Status, str] = {
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}


class Figures:
    """The instruments with their labels set, once: finding them costs more than a count."""

    def __init__(self, lane: Kind, *, slots: int, held: Sized) -> None:
        self._attempts = {end: instruments.ATTEMPTS.labels(lane, end) for end in _ENDS}
        self._jobs = {status: instruments.JOBS.labels(lane, name) for status, name in _STATUSES.items()}
        self._waits = [instruments.JOB_WAIT_SECONDS.labels(lane, priority) for priority in PRIORITIES]
        self._seconds = instruments.JOB_SECONDS.labels(lane)
        self._first_output = instruments.FIRST_OUTPUT_SECONDS.labels(lane)
        self._leases_lost = instruments.LEASES_LOST.labels(lane)
        self._taken_over = instruments.JOBS_TAKEN_OVER.labels(lane)
        self._dead_letters = instruments.DEAD_LETTERS.labels(lane)
        self._slots = instruments.JOB_SLOTS.labels(lane)
        self._slots.set(slots)
        instruments.JOBS_IN_FLIGHT.labels(lane).set_function(lambda: len(held))

    def job_taken(self, delivery: Delivery, *, now_ms: int) -> None:
        """Note for how long a job has waited."""
        entered_ms = int(delivery.entry.partition(b"-")[0])
        self._waits[delivery.lane].observe(max(0, now_ms - entered_ms) / 1000)

    def job_taken_over(self) -> None:
        """Count a job that a peer had before."""
        self._taken_over.inc()

    def attempt_lasted(self, seconds: float) -> None:
        """Note how long a job was in hand."""
        self._seconds.observe(seconds)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Count how an attempt ended."""
        self._attempts[end].inc()

    def job_ended(self, status: Status, *, dead: bool) -> None:
        """Count a job that has ended here for good."""
        self._jobs[status].inc()
        if dead:
            self._dead_letters.inc()

    def lease_lost(self) -> None:
        """Count a job that a peer took over while it was in hand."""
        self._leases_lost.inc()

    def output_began(self, seconds: float) -> None:
        """Note how long after its taking a streamed job had something to show."""
        self._first_output.observe(seconds)

    def close(self) -> None:
        """Note that this worker holds no jobs any more."""
        self._slots.set(0)
