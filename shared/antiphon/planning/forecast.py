"""What a load becomes on an installation: latencies of each kind, waits on each lane, how busy who is."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any

from antiphon.planning.arrivals import Stage
from antiphon.planning.errands import Callers, Talkers
from antiphon.planning.figures import Spread, percentile
from antiphon.planning.shapes import sources
from antiphon.planning.simulation import Outcome, Simulation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antiphon.planning.errands import Errand
    from antiphon.planning.installation import Installation
    from antiphon.planning.measured import Measured
    from antiphon.planning.traffic import Load
    from antiphon.schemas import Kind

_WARM_S = 300.0
_LEAST_S, _MOST_S = 1800.0, 24 * 3600.0
_ENOUGH, _MOST_REQUESTS = 400, 40_000
_DRAWS = 300
_GROWING = 3
"""Jobs that wait at the end, as many times as there are slots, at which a lane is called too slow."""


@dataclass(frozen=True)
class KindForecast:
    """Seconds that callers of one kind see."""

    kind: str
    came: int
    unfinished: int
    whole: Spread | None
    first: Spread | None

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into a JSON document."""
        return {
            "kind": self.kind,
            "came": self.came,
            "unfinished": self.unfinished,
            "seconds": self.whole.as_dict() if self.whole else None,
            "first_s": self.first.as_dict() if self.first else None,
        }


@dataclass(frozen=True)
class LaneForecast:
    """Jobs of one lane: how long they wait for a worker and stay with it, and how busy the workers are."""

    lane: Kind
    utilisation: float
    processors: float
    waits: Mapping[str, Spread]
    """By priority."""
    held: Spread | None
    left: int
    """Jobs that waited when the time was over."""
    slots: int

    @property
    def falls_behind(self) -> bool:
        """Tell whether more comes than is done."""
        return self.left > _GROWING * self.slots

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into a JSON document."""
        return {
            "lane": self.lane,
            "utilisation": round(self.utilisation, 4),
            "processors": round(self.processors, 4),
            "wait_s": {priority: spread.as_dict() for priority, spread in self.waits.items()},
            "held_s": self.held.as_dict() if self.held else None,
            "falls_behind": self.falls_behind,
        }


@dataclass(frozen=True)
class Forecast:
    """All of it."""

    kinds: tuple[KindForecast, ...]
    lanes: tuple[LaneForecast, ...]

    def kind(self, name: str) -> KindForecast | None:
        """Return one kind's."""
        return next((kind for kind in self.kinds if kind.kind == name), None)

    def lane(self, name: str) -> LaneForecast | None:
        """Return one lane's."""
        return next((lane for lane in self.lanes if lane.lane == name), None)


def forecast(
    load: Load,
    installation: Installation,
    measured: Measured,
    *,
    stages: Sequence[Stage] = (),
    count_from_s: float = 0.0,
    seeds: Sequence[int] = (1,),
) -> Forecast:
    """Simulate a load, once for each seed, and count all of them together.

    Without `stages`, it stays the same for as long as it takes to see enough requests of each kind.
    Raises `InvalidValue` for work that was not measured.
    """
    who = sources(load, measured)
    if not stages:
        count_from_s = _WARM_S
        stages = (Stage(_WARM_S + _long_enough(who)),)
    outcomes = []
    slots: dict[Kind, int] = {}
    for seed in seeds:
        lanes = installation.build(measured)
        slots = {kind: sum(worker.slots for worker in lane.workers) for kind, lane in lanes.items()}
        outcomes.append(Simulation(lanes, seed=seed).run(who, stages=stages, count_from_s=count_from_s))
    return _together(outcomes, slots)


def work_of(load: Load, measured: Measured) -> dict[Kind, float]:
    """Return the seconds of work that come to each lane in a second, each job taking what it takes when it is alone."""
    rng = Random(0)  # noqa: S311 - nothing secret
    offered: dict[Kind, float] = {}
    for source in sources(load, measured):
        errands = [source.draw(rng) for _ in range(_DRAWS)]
        if isinstance(source, Callers):
            rate = source.rate_per_s * source.batch
        else:
            pause_s = fmean(source.pause_s(rng) for _ in range(_DRAWS))
            rate = source.count / (pause_s + fmean(map(alone_s, errands)))
        for errand in errands:
            for step in errand.steps:
                if step.lane is not None:
                    offered[step.lane] = offered.get(step.lane, 0.0) + rate * sum(step.turns_s) / _DRAWS
    return offered


def alone_s(errand: Errand, *, first: bool = False) -> float:
    """Return how long an errand takes when nobody else is there; `first`: until there is something for its caller."""
    ends: list[float] = []
    for number, step in enumerate(errand.steps):
        before = [*step.after, *((number - 1,) if step.goes_on else ())]
        ends.append(max((ends[earlier] for earlier in before), default=0.0) + sum(step.turns_s))
    return ends[errand.first] if first and errand.first is not None else max(ends)


def least_s(load: Load, measured: Measured, kind: str, *, first: bool) -> float:
    """Return what 95 % of a kind's callers would wait if each were alone."""
    rng = Random(0)  # noqa: S311 - nothing secret
    drawn = [
        alone_s(source.draw(rng), first=first)
        for source in sources(load, measured)
        if source.kind == kind
        for _ in range(_DRAWS)
    ]
    return percentile(drawn, 0.95)


def _long_enough(who: Sequence[Callers | Talkers]) -> float:
    rates = [
        source.rate_per_s * source.batch if isinstance(source, Callers) else source.count / 30 for source in who
    ] or [1.0]
    wanted = max(_LEAST_S, _ENOUGH / min(rates))
    return max(_LEAST_S / 3, min(wanted, _MOST_REQUESTS / sum(rates), _MOST_S))


def _together(outcomes: Sequence[Outcome], slots: Mapping[Kind, int]) -> Forecast:
    kinds = []
    for name in sorted({name for outcome in outcomes for name in outcome.kinds}):
        seen = [outcome.kinds[name] for outcome in outcomes if name in outcome.kinds]
        kinds.append(
            KindForecast(
                kind=name,
                came=sum(one.came for one in seen),
                unfinished=sum(one.unfinished for one in seen),
                whole=Spread.of([seconds for one in seen for seconds in one.whole_s]),
                first=Spread.of([seconds for one in seen for seconds in one.first_s]),
            )
        )
    lanes = []
    for kind, most in slots.items():
        waits: dict[str, Spread] = {}
        for priority in ("hi", "std", "bulk"):
            seconds = [wait for one in outcomes for wait in one.waits_s[kind][priority]]
            if (spread := Spread.of(seconds)) is not None:
                waits[priority] = spread
        lanes.append(
            LaneForecast(
                lane=kind,
                utilisation=fmean(one.utilisation[kind] for one in outcomes),
                processors=fmean(one.processors[kind] for one in outcomes),
                waits=waits,
                held=Spread.of([held for one in outcomes for held in one.held_s[kind]]),
                left=max(one.left[kind] for one in outcomes),
                slots=most,
            )
        )
    return Forecast(tuple(kinds), tuple(lanes))
