"""Let requests come and be served, event by event, without a clock: pure, and the same for the same seed."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING

from antiphon.planning.arrivals import Stage, arrival_times
from antiphon.planning.errands import Callers, Talkers
from antiphon.planning.lane import Lane, Task, Visit, Worker
from antiphon.schemas import PRIORITIES, Kind, Priority

if TYPE_CHECKING:
    from antiphon.planning.engine import Machine
    from antiphon.planning.errands import Errand

_DRAIN = 3.0
"""How many times as long as callers came the work that is left may go on, before it counts as unfinished."""


@dataclass
class Seen:
    """What became of the requests of one kind that were counted, in seconds from their coming."""

    came: int = 0
    whole_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)

    @property
    def unfinished(self) -> int:
        """Requests that had no answer when the time was over."""
        return self.came - len(self.whole_s)


@dataclass
class Outcome:
    """What was seen: by kind of request, by lane, and of the engines."""

    kinds: dict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))
    waits_s: dict[Kind, dict[Priority, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    """On the lane, before a worker took the job."""
    held_s: dict[Kind, list[float]] = field(default_factory=lambda: defaultdict(list))
    """In a worker's slot."""
    utilisation: dict[Kind, float] = field(default_factory=dict)
    """Work that a lane's engines did, of what they can do at most, while callers came."""
    processors: dict[Kind, float] = field(default_factory=dict)
    """Processors that a lane's engines used, in the mean, while callers came."""
    left: dict[Kind, int] = field(default_factory=dict)
    """Jobs that waited when the last caller had come."""


class Simulation:
    """One run. Lanes and machines are those of an installation, fresh."""

    def __init__(self, lanes: Mapping[Kind, Lane], *, seed: int) -> None:
        self._lanes = lanes
        self._rng = Random(seed)  # noqa: S311 - nothing secret
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._now_s = 0.0
        self._machines = {
            id(worker.machine): worker.machine for lane in lanes.values() for worker in lane.workers
        }.values()
        self._dirty: dict[int, Machine[Task]] = {}
        self._outcome = Outcome()
        self._talkers: list[Talkers] = []
        self._count_from_s = 0.0
        self._end_s = 0.0

    def run(
        self, sources: Sequence[Callers | Talkers], *, stages: Sequence[Stage], count_from_s: float = 0.0
    ) -> Outcome:
        """Let callers come in `stages`; count those who come from `count_from_s` on. Raises `KeyError` for no lane."""
        self._end_s = sum(stage.seconds for stage in stages)
        self._count_from_s = count_from_s
        for source in sources:
            if isinstance(source, Callers):
                self._invite(source, stages)
            else:
                self._seat(source, stages)
        self._at(self._end_s, self._look)
        self._until(self._end_s * (1 + _DRAIN))
        return self._outcome

    # -- who comes --

    def _invite(self, callers: Callers, stages: Sequence[Stage]) -> None:
        times = arrival_times(self._rng, rate_per_s=callers.rate_per_s, stages=stages)

        def next_one() -> None:
            # Drawn one by one: a million of them need no room.
            if (at_s := next(times, None)) is not None:
                self._at(at_s, come)

        def come() -> None:
            for _ in range(callers.batch):
                self._begin(callers.kind, callers.draw(self._rng))
            next_one()

        next_one()

    def _seat(self, talkers: Talkers, stages: Sequence[Stage]) -> None:
        self._talkers.append(talkers)
        number = len(self._talkers) - 1
        seated, at_s = 0, 0.0
        for stage in stages:
            wanted = round(talkers.count * stage.part)
            for _ in range(seated, wanted):
                # Somewhere in their pause: those who begin together do not talk together.
                self._at(at_s + talkers.pause_s(self._rng) * self._rng.random(), lambda: self._talk(number))
            seated, at_s = max(seated, wanted), at_s + stage.seconds

    def _talk(self, number: int) -> None:
        talkers = self._talkers[number]
        if self._now_s < self._end_s:
            self._begin(talkers.kind, talkers.draw(self._rng), session=number)

    # -- a request --

    def _begin(self, kind: str, errand: Errand, *, session: int | None = None) -> None:
        counted = self._count_from_s <= self._now_s < self._end_s
        blocked = [len(step.after) + step.goes_on for step in errand.steps]
        visit = Visit(kind, errand, self._now_s, counted, blocked, len(blocked), session=session)
        self._outcome.kinds[kind].came += counted
        for number, step in enumerate(errand.steps):
            if not step.after and not step.goes_on:
                self._start(visit, number)

    def _start(self, visit: Visit, number: int) -> None:
        step = visit.errand.steps[number]
        if step.lane is None:
            self._at(self._now_s + sum(step.turns_s), lambda: self._end_step(visit, number))
            return
        steps = [number]
        for later in range(number + 1, len(visit.errand.steps)):
            if not visit.errand.steps[later].goes_on:
                break
            steps.append(later)
        task = Task(visit, PRIORITIES.index(step.priority), steps, self._now_s)
        if (worker := self._lanes[step.lane].put(task)) is not None:
            self._taken(task, worker)

    def _end_step(self, visit: Visit, number: int) -> None:
        if number == visit.errand.first:
            visit.first_s = self._now_s - visit.began_s
        visit.left -= 1
        if visit.left == 0:
            self._end(visit)
            return
        for later, step in enumerate(visit.errand.steps):
            if number in step.after:
                visit.blocked[later] -= 1
                if visit.blocked[later] == 0:
                    self._start(visit, later)

    def _end(self, visit: Visit) -> None:
        if visit.counted:
            seen = self._outcome.kinds[visit.kind]
            seen.whole_s.append(self._now_s - visit.began_s)
            if visit.first_s is not None:
                seen.first_s.append(visit.first_s)
        if visit.session is not None:
            number = visit.session
            self._at(self._now_s + self._talkers[number].pause_s(self._rng), lambda: self._talk(number))

    # -- a job --

    def _taken(self, task: Task, worker: Worker) -> None:
        step = task.visit.errand.steps[task.steps[0]]
        task.taken_s = self._now_s
        if task.visit.counted and step.lane is not None:
            self._outcome.waits_s[step.lane][step.priority].append(self._now_s - task.put_s)
        self._next_turn(task, worker)

    def _next_turn(self, task: Task, worker: Worker) -> None:
        """Let the next turn of a job wait for a seat, ending steps that have none left; free its slot at the end."""
        steps = task.visit.errand.steps
        while task.at_step < len(task.steps):
            number = task.steps[task.at_step]
            turns = steps[number].turns_s
            if task.at_turn < len(turns):
                self._touch(worker.machine)
                engine = worker.engine_for(task.priority)
                engine.add(task, work_s=turns[task.at_turn], priority=task.priority, served=task.served)
                return
            task.at_step, task.at_turn = task.at_step + 1, 0
            self._end_step(task.visit, number)
        self._leave(task, steps[task.steps[0]].lane)

    def _leave(self, task: Task, kind: Kind | None) -> None:
        assert kind is not None  # noqa: S101
        if task.visit.counted:
            self._outcome.held_s[kind].append(self._now_s - task.taken_s)
        lane = self._lanes[kind]
        worker = lane.free(task)
        while (following := lane.take(worker)) is not None:
            self._taken(following, worker)

    # -- time --

    def _at(self, at_s: float, call: Callable[[], None]) -> None:
        heappush(self._events, (at_s, next(self._numbers), call))

    def _touch(self, machine: Machine[Task]) -> None:
        """Bring a machine up to now before something changes on it; it is settled before time goes on."""
        machine.advance(self._now_s)
        self._dirty[id(machine)] = machine

    def _until(self, last_s: float) -> None:
        while self._events and self._events[0][0] <= last_s:
            self._now_s, _, call = heappop(self._events)
            call()
            while self._dirty:
                _, machine = self._dirty.popitem()
                self._settle(machine)

    def _settle(self, machine: Machine[Task]) -> None:
        soon = machine.settle()
        if soon is not None:
            version = machine.version
            self._at(self._now_s + soon, lambda: self._done(machine, version))

    def _done(self, machine: Machine[Task], version: int) -> None:
        if machine.version != version:
            return
        self._touch(machine)
        for engine in machine.engines:
            for task in engine.take_done():
                task.at_turn += 1
                task.served += 1
                worker = task.worker
                assert worker is not None  # noqa: S101
                self._next_turn(task, worker)

    def _look(self) -> None:
        """Note what the engines have done and what is left, at the moment in which no more callers come."""
        for machine in self._machines:
            machine.advance(self._now_s)
            self._dirty[id(machine)] = machine
        for kind, lane in self._lanes.items():
            engines = {id(engine): engine for one in lane.workers for engine in (one.engine, one.bulk_engine)}.values()
            most = sum(worker.engine.most_speed for worker in lane.workers)
            self._outcome.utilisation[kind] = sum(one.done_s for one in engines) / (most * self._end_s) if most else 0.0
            self._outcome.processors[kind] = sum(engine.used_s for engine in engines) / self._end_s
            self._outcome.left[kind] = lane.waiting
