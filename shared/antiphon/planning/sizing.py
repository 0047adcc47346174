"""How many of each worker a load needs: the fewest with which everybody sees what was promised."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon.planning.forecast import Forecast, forecast, least_s, work_of
from antiphon.planning.installation import WORKERS, Installation
from antiphon.planning.memory import rates_of

if TYPE_CHECKING:
    from antiphon.planning.forecast import KindForecast, LaneForecast
    from antiphon.planning.measured import Measured
    from antiphon.planning.traffic import Load
    from antiphon.schemas import Kind

DOOR_BUSY = 0.6
"""Part of its one processor that a process which serves sockets may use: beyond, all of them feel it."""
_SESSIONS_EACH = 64
_TWO = 2
"""Workers of live sessions at least: a session goes on when the one that holds it dies."""
_ROUNDS = 40
_ALL: tuple[Kind, ...] = ("transcribe", "respond", "synthesize")
_THROUGH: dict[str, tuple[Kind, ...]] = {
    "files": ("transcribe",),
    "jobs": ("transcribe",),
    "speech": ("synthesize",),
    "chat": _ALL,
    "sessions": _ALL,
}


@dataclass(frozen=True)
class Goal:
    """Seconds that 95 % of a kind's callers shall not wait longer."""

    kind: str
    of: str
    """`whole`, or `first` for the first the caller gets."""
    seconds: float

    def seen(self, forecasted: KindForecast) -> float | None:
        """Return the figure it is about."""
        spread = forecasted.first if self.of == "first" else forecasted.whole
        return spread.p95_s if spread else None

    def met(self, forecasted: KindForecast) -> bool:
        """Tell whether it is kept."""
        seen = self.seen(forecasted)
        return not forecasted.unfinished and seen is not None and seen <= self.seconds


@dataclass(frozen=True)
class Sized:
    """Replicas, what becomes of the load with them, and which goals no number of replicas would meet."""

    installation: Installation
    forecast: Forecast
    goals: tuple[Goal, ...]
    out_of_reach: tuple[Goal, ...] = ()
    limit: str = ""
    shares: dict[str, float] = field(default_factory=dict)


def goals_of(load: Load) -> tuple[Goal, ...]:
    """Return what the load's tables promise."""
    wanted = (
        ("files", "whole", load.files.p95_s if load.files else None),
        ("speech", "first", load.speech.p95_first_s if load.speech else None),
        ("chat", "first", load.chat.p95_first_s if load.chat else None),
        ("sessions", "first", load.sessions.p95_first_s if load.sessions else None),
        ("jobs", "whole", load.jobs.p95_s if load.jobs else None),
    )
    return tuple(Goal(kind, of, seconds) for kind, of, seconds in wanted if seconds is not None)


def size(load: Load, measured: Measured, *, busy: float = 0.8, seed: int = 1) -> Sized:
    """Return the fewest replicas with which no lane is busier than `busy` and every goal is met.

    Each replica has a machine like the measured one to itself. Raises `InvalidValue` for work that was not measured.
    """
    goals = goals_of(load)
    replicas: dict[str, int] = {}
    for lane, work_s in work_of(load, measured).items():
        most = measured.service(lane).speed().speed.most
        replicas[WORKERS[lane]] = max(1, math.ceil(work_s / (most * busy) - 1e-9))
    out_of_reach = tuple(
        goal for goal in goals if least_s(load, measured, goal.kind, first=goal.of == "first") >= goal.seconds
    )
    for _ in range(_ROUNDS):
        installation = Installation(replicas={**replicas, **_others(load, measured)})
        found = forecast(load, installation, measured, seeds=(seed,))
        grown = {lane.lane for lane in found.lanes if lane.falls_behind}
        for goal in goals:
            kind = found.kind(goal.kind)
            if goal not in out_of_reach and kind is not None and not goal.met(kind):
                grown.add(slowest(found, goal.kind))
        if not grown:
            break
        for lane in grown:
            replicas[WORKERS[lane]] += max(1, replicas[WORKERS[lane]] // 8)
    return Sized(installation, found, goals, out_of_reach, limit_of(found), processors_of(load, measured))


def slowest(found: Forecast, kind: str) -> Kind:
    """Return the lane, of those that a kind of request goes through, on which most time is lost beside others."""

    def lost(lane: LaneForecast) -> float:
        waits = sum(spread.mean_s * spread.count for spread in lane.waits.values())
        return waits + lane.utilisation * (lane.held.mean_s * lane.held.count if lane.held else 0.0)

    return max((lane for lane in found.lanes if lane.lane in _THROUGH[kind]), key=lost).lane


def limit_of(found: Forecast) -> str:
    """Name the worker that has least left."""
    lane = max(found.lanes, key=lambda one: one.utilisation, default=None)
    return WORKERS[lane.lane] if lane else ""


def processors_of(load: Load, measured: Measured) -> dict[str, float]:
    """Return what the processes without an engine use, in processors."""
    requests = sum(rates_of(load).values())
    held = load.sessions.held if load.sessions else 0.0
    return {
        name: requests * share.processors_per_request + held * share.processors_per_session
        for name, share in (("ingest", measured.door), ("realtime", measured.realtime), ("server", measured.server))
    }


def _others(load: Load, measured: Measured) -> dict[str, int]:
    used = processors_of(load, measured)
    replicas = {"ingest": max(1, math.ceil(used["ingest"] / DOOR_BUSY))}
    if load.sessions:
        crowd = math.ceil(load.sessions.held / _SESSIONS_EACH)
        replicas["realtime"] = max(_TWO, crowd, math.ceil(used["realtime"] / DOOR_BUSY))
    return replicas
