"""Engines that serve turns of jobs side by side, and the processors that they share. Time is passed in."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, TypeVar

from antiphon.planning.curves import Curve

_LEAST_LEFT = 0.015
"""Part of the processors that who steps back gets of those who want all: the weights of nice 19 and nice 0."""

T = TypeVar("T")


@dataclass(frozen=True)
class Speed:
    """How fast an engine is, by the jobs it has.

    Attributes:
        seats: jobs that it works on at a time; others wait for a seat.
        speed: seconds of work done in a second, the work being what a job takes when it is alone.
        processors: how many it uses meanwhile, where there are enough.
    """

    seats: int
    speed: Curve
    processors: Curve


@dataclass(order=True)
class _Waiting(Generic[T]):
    priority: int
    served: int
    number: int
    turn: T = field(compare=False)
    work_s: float = field(compare=False)


class Engine(Generic[T]):
    """Serves turns in order of priority, then of who was served least; begun turns are ended."""

    def __init__(self, speed: Speed, *, steps_back: bool = False) -> None:
        self.steps_back = steps_back
        self.seats = speed.seats
        self.done_s = 0.0
        """Seconds of work done so far."""
        self.used_s = 0.0
        """Seconds of processors used so far."""
        self._curves = speed
        self._waiting: list[_Waiting[T]] = []
        self._seated: list[tuple[float, int, T]] = []
        self._numbers = itertools.count()
        # Those who sit share the speed evenly, so one clock of their own serves all: it tells how much work each has
        # had since the beginning of time.
        self._clock = 0.0
        self._pace = 0.0
        self._part = 0.0

    @property
    def present(self) -> int:
        """Jobs that sit or wait."""
        return len(self._seated) + len(self._waiting)

    @property
    def wanted(self) -> float:
        """Processors that it would use now."""
        return self._curves.processors.at(self.present)

    @property
    def most_speed(self) -> float:
        """Seconds of work it can do in a second at most."""
        return self._curves.speed.most

    def add(self, turn: T, *, work_s: float, priority: int, served: int) -> None:
        """Let a turn wait for a seat."""
        heappush(self._waiting, _Waiting(priority, served, next(self._numbers), turn, work_s))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._clock += seconds * self._pace
        self.done_s += seconds * self._pace * len(self._seated)
        self.used_s += seconds * self._part * self.wanted

    def take_done(self) -> list[T]:
        """Return the turns that have ended, and free their seats."""
        done = []
        while self._seated and self._seated[0][0] <= self._clock + 1e-9:
            done.append(heappop(self._seated)[2])
        return done

    def seat(self, part: float) -> None:
        """Fill free seats and go on, with `part` of the processors that are wanted."""
        while self._waiting and len(self._seated) < self.seats:
            waiting = heappop(self._waiting)
            heappush(self._seated, (self._clock + waiting.work_s, waiting.number, waiting.turn))
        self._part = part
        # What a call gains from company does not make anybody faster than alone.
        each = min(1.0, self._curves.speed.at(self.present) / len(self._seated)) if self._seated else 0.0
        self._pace = each * part

    def done_in(self) -> float | None:
        """Return the seconds until a turn ends if nothing changes; None when nobody sits."""
        if not self._seated or self._pace <= 0:
            return None
        return max(0.0, (self._seated[0][0] - self._clock) / self._pace)


class Machine(Generic[T]):
    """Some processors, and the engines that share them."""

    def __init__(self, *, processors: float, background: float = 0.0) -> None:
        """`background` is what is used besides the engines."""
        self.processors = processors
        self.background = background
        self.engines: tuple[Engine[T], ...] = ()
        self.version = 0
        self._ranks: tuple[tuple[Engine[T], ...], tuple[Engine[T], ...]] = ((), ())
        self._now_s = 0.0

    def add(self, engine: Engine[T]) -> None:
        """Put an engine on it."""
        self.engines = (*self.engines, engine)
        first, last = self._ranks
        self._ranks = (first, (*last, engine)) if engine.steps_back else ((*first, engine), last)

    def advance(self, now_s: float) -> None:
        """Let time pass for all engines."""
        if (seconds := now_s - self._now_s) > 0:
            for engine in self.engines:
                engine.advance(seconds)
            self._now_s = now_s

    def settle(self) -> float | None:
        """Share the processors anew; return the seconds until some turn ends."""
        self.version += 1
        least = _LEAST_LEFT * self.processors
        left = max(self.processors - self.background, least)
        for engines in self._ranks:
            wanted = 0.0
            for engine in engines:
                wanted += engine.wanted
            part = left / wanted if wanted > left else 1.0
            for engine in engines:
                engine.seat(part)
            left = max(left - wanted, least)
        return min((soon for engine in self.engines if (soon := engine.done_in()) is not None), default=None)
