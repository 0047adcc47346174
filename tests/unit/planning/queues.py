"""Queues of the textbooks, made of the simulation's own parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from antiphon.planning import Stage
from antiphon.planning.curves import Curve
from antiphon.planning.engine import Engine, Machine, Speed
from antiphon.planning.errands import Callers, Errand, Step
from antiphon.planning.lane import Lane, Task, Worker
from antiphon.planning.simulation import Outcome, Simulation
from antiphon.schemas import Priority

ONE_AFTER_THE_OTHER = Speed(seats=1, speed=Curve([(1, 1.0)]), processors=Curve([(1, 1.0)]))


def worker(speed: Speed = ONE_AFTER_THE_OTHER, *, slots: int = 1, machine: Machine[Task] | None = None) -> Worker:
    """A worker, on a machine of its own with room for everything unless it is given one."""
    on = machine or Machine(processors=1000.0)
    engine: Engine[Task] = Engine(speed)
    on.add(engine)
    return Worker(slots, on, engine, engine)


def exponential(mean_s: float, priority: Priority = "std") -> Callable[[Random], Errand]:
    def draw(rng: Random) -> Errand:
        return Errand((Step("transcribe", (rng.expovariate(1 / mean_s),), priority=priority),))

    return draw


def constant(seconds: float, priority: Priority = "std") -> Callable[[Random], Errand]:
    return lambda _: Errand((Step("transcribe", (seconds,), priority=priority),))


def run(workers: list[Worker], callers: list[Callers], *, seconds: float, seed: int = 7) -> Outcome:
    return Simulation({"transcribe": Lane(workers)}, seed=seed).run(
        callers, stages=[Stage(seconds)], count_from_s=seconds / 20
    )


def erlang_c(servers: int, load: float) -> float:
    """The probability of having to wait where `load` servers would be busy on average."""
    waiting = load**servers / math.factorial(servers) * servers / (servers - load)
    return waiting / (sum(load**k / math.factorial(k) for k in range(servers)) + waiting)
