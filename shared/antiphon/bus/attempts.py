"""What a worker does with its deliveries: the attempts it makes at their jobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from antiphon.schemas import Job

if TYPE_CHECKING:
    from antiphon.bus.deliveries import Delivery
    from antiphon.bus.wire import Envelope
    from antiphon.bus.work import Work

JobT = TypeVar("JobT", bound=Job)


@dataclass(slots=True)
class Running:
    """A delivery and the task that works on it."""

    delivery: Delivery
    task: asyncio.Task[None]
    job_id: str = ""
    work: Work | None = None
    began_s: float = 0.0

    def stop(self, reason: Exception) -> None:
        """Tell the handler, then interrupt it where it waits."""
        if self.work is not None:
            self.work.stop(reason)
        self.task.cancel()


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
