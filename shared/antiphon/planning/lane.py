"""A lane: three lines by priority, and workers that take from them into free slots by the rules of the bus."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.planning.engine import Engine, Machine
    from antiphon.planning.errands import Errand

BULK = 2
"""Index of the least urgent line."""
_BULK_FIRST_EVERY = 10


@dataclass(eq=False, slots=True)
class Task:
    """A job on its way: the steps of its errand that are done in the same slot, each in turns."""

    visit: Visit
    priority: int
    steps: list[int]
    put_s: float
    taken_s: float = 0.0
    worker: Worker | None = None
    at_step: int = 0
    at_turn: int = 0
    served: int = 0


@dataclass(eq=False, slots=True)
class Visit:
    """A request on its way through the lanes."""

    kind: str
    errand: Errand
    began_s: float
    counted: bool
    blocked: list[int]
    """For each step, how many steps must end before it."""
    left: int
    first_s: float | None = None
    session: int | None = None


@dataclass(eq=False, slots=True)
class Worker:
    """A process with slots for jobs, and the engines behind them: the second one is for bulk jobs, where it has one."""

    slots: int
    machine: Machine[Task]
    engine: Engine[Task]
    bulk_engine: Engine[Task]
    held: int = 0
    bulk_held: int = 0
    rounds: int = 0
    waiting_since: int = 0

    def has_room(self, priority: int) -> bool:
        """Tell whether a job of this priority may be taken."""
        if self.held >= self.slots:
            return False
        return priority != BULK or self.bulk_held < most_bulk(self.slots)

    def engine_for(self, priority: int) -> Engine[Task]:
        """Return what serves a job."""
        return self.bulk_engine if priority == BULK else self.engine


def most_bulk(slots: int) -> int:
    """Return how many slots batch work may hold: the rest is left to those who wait."""
    return slots - max(1, slots // 4) if slots > 1 else 1


@dataclass(eq=False)
class Lane:
    """The jobs that nobody has taken, and who takes them."""

    workers: list[Worker]
    lines: tuple[deque[Task], deque[Task], deque[Task]] = field(default_factory=lambda: (deque(), deque(), deque()))
    takes: int = 0

    @property
    def waiting(self) -> int:
        """Jobs that nobody has taken."""
        return sum(map(len, self.lines))

    def put(self, task: Task) -> Worker | None:
        """Let a job wait, or return who takes it at once: of those with room, who has waited longest."""
        able = [worker for worker in self.workers if worker.has_room(task.priority)]
        if not able or self.lines[task.priority]:
            self.lines[task.priority].append(task)
            return None
        worker = min(able, key=lambda one: one.waiting_since)
        self._hold(worker, task)
        return worker

    def take(self, worker: Worker) -> Task | None:
        """Return the job that a worker takes into its free slot, if there is any."""
        worker.rounds += 1
        order = (2, 1, 0) if worker.rounds % _BULK_FIRST_EVERY == 0 else (0, 1, 2)
        for priority in order:
            if self.lines[priority] and worker.has_room(priority):
                task = self.lines[priority].popleft()
                self._hold(worker, task)
                return task
        return None

    def free(self, task: Task) -> Worker:
        """Empty the slot of a job that has ended; return whose it was."""
        worker = task.worker
        assert worker is not None  # noqa: S101
        worker.held -= 1
        worker.bulk_held -= task.priority == BULK
        return worker

    def _hold(self, worker: Worker, task: Task) -> None:
        self.takes += 1
        worker.waiting_since = self.takes
        worker.held += 1
        worker.bulk_held += task.priority == BULK
        task.worker = worker
