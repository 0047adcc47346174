"""`antiphon plan`: how much of everything a load needs, by simulation with measured service times."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from rich.table import Table

from antiphon.cli.failure import fail
from antiphon.cli.tables import console, make_table, print_json
from antiphon.errors import AntiphonError
from antiphon.planning import (
    Installation,
    Load,
    Measured,
    Sized,
    forecast,
    goals_of,
    limit_of,
    load_of,
    processors_of,
    read_load,
    read_measured,
    redis_bytes,
    reference,
    size,
)
from antiphon.planning.installation import LANES
from antiphon.planning.sizing import Goal

_HOURS_A_MONTH = 730
_GIB = 2**30
_TOLD = ("peak", "busy", "price", "price_gib", "blobs")
"""What a file may say besides the load."""


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What the command was given; None for what it was not."""

    file: Path | None = None
    measured: Path | None = None
    files_per_hour: float | None = None
    jobs_per_hour: float | None = None
    mean_seconds: float | None = None
    speech_per_minute: float | None = None
    chat_per_minute: float | None = None
    sessions: float | None = None
    p95: tuple[str, ...] = ()
    peak: float | None = None
    busy: float | None = None
    replicas: dict[str, int] | None = None
    processors: float | None = None
    price: float | None = None
    price_gib: float | None = None
    recordings_in_redis: bool | None = None
    seed: int = 1
    as_json: bool = False


@dataclass(frozen=True)
class Asked:
    """The load, and the rest of what was asked."""

    load: Load
    peak: float
    busy: float
    price: float | None
    price_gib: float | None
    recordings_in_redis: bool


def plan(options: PlanOptions) -> None:
    """Print what the load needs, or what becomes of it on the replicas that were given."""
    try:
        asked = read_asked(options)
        measured = read_measured(options.measured) if options.measured else reference()
        sized = _sized(asked, measured, options)
        document = describe(asked, measured, sized, options)
    except AntiphonError as error:
        fail(str(error), code=2)
    if options.as_json:
        print_json(document)
        return
    _show(document)


def read_asked(options: PlanOptions) -> Asked:
    """Return the load of the file with what the options say instead. Raises `InvalidValue`."""
    document = read_load(options.file) if options.file else {}
    tables: dict[str, Any] = document.get("load", {})
    if unknown := document.keys() - {"load", *_TOLD}:
        fail(f"{options.file}: {min(unknown)!r} is neither [load] nor one of {', '.join(_TOLD)}", code=2)
    given = (
        ("files", "per_hour", options.files_per_hour),
        ("jobs", "per_hour", options.jobs_per_hour),
        ("speech", "per_minute", options.speech_per_minute),
        ("chat", "per_minute", options.chat_per_minute),
        ("sessions", "held", options.sessions),
    )
    for kind, name, value in given:
        if value:
            tables = tables | {kind: tables.get(kind, {}) | {name: value}}
        elif value is not None:
            tables = {other: table for other, table in tables.items() if other != kind}
    if options.mean_seconds is not None:
        for kind in ("files", "jobs"):
            if kind in tables:
                tables = tables | {kind: tables[kind] | {"mean_s": options.mean_seconds, "lengths_s": ()}}
    for goal in options.p95:
        kind, _, seconds = goal.partition("=")
        name = "p95_s" if kind in ("files", "jobs") else "p95_first_s"
        if kind not in tables or not seconds.replace(".", "", 1).isdigit():
            fail(f"--p95 {goal}: it is KIND=SECONDS, of a kind in the load", code=2)
        tables = tables | {kind: tables[kind] | {name: float(seconds)}}
    load = load_of(tables)
    if load.empty:
        fail("no load: name a file, or --files-per-hour, --speech-per-minute, --chat-per-minute, --sessions", code=2)

    def told(name: str, option: float | None, default: float | None) -> Any:
        return option if option is not None else document.get(name, default)

    blobs = document.get("blobs", "elsewhere")
    in_redis = blobs == "redis" if options.recordings_in_redis is None else options.recordings_in_redis
    return Asked(
        load=load,
        peak=float(told("peak", options.peak, 1.0)),
        busy=float(told("busy", options.busy, 0.8)),
        price=told("price", options.price, None),
        price_gib=told("price_gib", options.price_gib, None),
        recordings_in_redis=in_redis,
    )


def _sized(asked: Asked, measured: Measured, options: PlanOptions) -> Sized:
    peak = asked.load.times(asked.peak)
    if options.replicas is None:
        return size(peak, measured, busy=asked.busy, seed=options.seed)
    used = processors_of(peak, measured)
    installation = Installation(options.replicas, options.processors, sum(used.values()))
    found = forecast(peak, installation, measured, seeds=(options.seed,))
    return Sized(installation, found, goals_of(peak), (), limit_of(found), used)


def describe(asked: Asked, measured: Measured, sized: Sized, options: PlanOptions) -> dict[str, Any]:
    """Return what `--json` prints."""
    replicas = sized.installation.replicas
    workers = [_worker(name, count, measured, sized) for name, count in replicas.items() if count]
    processors = sum(worker["replicas"] * worker["processors"] for worker in workers)
    if sized.installation.together is not None:
        processors = sized.installation.together
    memory_gib = sum(worker["replicas"] * worker["memory_mib"] for worker in workers) / 1024
    redis = redis_bytes(
        asked.load,
        measured,
        sized.forecast,
        peak=asked.peak,
        recordings_in_redis=asked.recordings_in_redis,
    )
    redis_gib = sum(redis.values()) / _GIB
    total_gib = memory_gib + measured.server.memory_mib / 1024 + redis_gib
    cost: dict[str, float] = {"processor_hours": processors, "gib_hours": round(total_gib, 3)}
    if asked.price is not None or asked.price_gib is not None:
        cost["an_hour"] = round(processors * (asked.price or 0.0) + total_gib * (asked.price_gib or 0.0), 4)
        cost["a_month"] = round(cost["an_hour"] * _HOURS_A_MONTH, 2)
    return {
        "measured": {"machine": measured.machine, "command": measured.command},
        "peak": asked.peak,
        "workers": workers,
        "processors": processors,
        "memory_gib": round(memory_gib, 3),
        "kinds": [
            kind.as_dict() | {"per_hour": _rate(asked.load.times(asked.peak), kind.kind)}
            for kind in sized.forecast.kinds
        ],
        "lanes": [lane.as_dict() for lane in sized.forecast.lanes],
        "goals": [_goal(goal, sized) for goal in sized.goals],
        "limit": sized.limit,
        "redis_bytes": {name: round(value) for name, value in redis.items()},
        "cost": cost,
    }


def _worker(name: str, count: int, measured: Measured, sized: Sized) -> dict[str, Any]:
    worker: dict[str, Any] = {"worker": name, "replicas": count}
    if name in LANES:
        service = measured.service(LANES[name])
        lane = sized.forecast.lane(LANES[name])
        # In halves, which is how processors are asked for.
        return worker | {
            "processors": ceil(2 * service.most_processors - 0.05) / 2,
            "memory_mib": round(service.memory_mib),
            "utilisation": round(lane.utilisation, 3) if lane else 0.0,
        }
    share = {"ingest": measured.door, "realtime": measured.realtime}.get(name)
    used = sized.shares.get(name, 0.0)
    return worker | {
        "processors": 1.0,
        "memory_mib": round(share.memory_mib) if share else 0,
        "utilisation": round(used / count, 3),
    }


def _goal(goal: Goal, sized: Sized) -> dict[str, Any]:
    kind = sized.forecast.kind(goal.kind)
    return {
        "kind": goal.kind,
        "of": goal.of,
        "p95_s": goal.seconds,
        "seen_s": goal.seen(kind) if kind else None,
        "met": bool(kind and goal.met(kind)),
        "in_reach": goal not in sized.out_of_reach,
    }


def _rate(load: Load, kind: str) -> float | None:
    rates = {
        "files": load.files.per_hour if load.files else None,
        "jobs": load.jobs.per_hour if load.jobs else None,
        "speech": load.speech.per_minute * 60 if load.speech else None,
        "chat": load.chat.per_minute * 60 if load.chat else None,
    }
    return rates.get(kind)


# -- for people --


def _show(document: dict[str, Any]) -> None:
    out = console()
    out.print(f"measured on {document['measured']['machine']}")
    out.print(f"by {document['measured']['command']}")
    out.print()
    out.print(_workers_table(document))
    out.print()
    out.print(_lanes_table(document))
    out.print()
    out.print(_kinds_table(document))
    out.print()
    for line in _closing(document):
        out.print(line)


def _workers_table(document: dict[str, Any]) -> Table:
    heads = ("Worker", "Replicas", "Processors each", "MiB each", "Utilisation")
    rows = [
        (
            worker["worker"],
            str(worker["replicas"]),
            f"{worker['processors']:g}",
            str(worker["memory_mib"]),
            f"{worker['utilisation']:.0%}",
        )
        for worker in document["workers"]
    ]
    return make_table(heads, rows, numbers=heads[1:])


def _lanes_table(document: dict[str, Any]) -> Table:
    heads = ("Lane", "Priority", "Jobs", "Wait p50", "p95", "p99", "")
    rows = [
        (lane["lane"], priority, f"{spread['count']:.0f}", *_three(spread), "falls behind" * lane["falls_behind"])
        for lane in document["lanes"]
        for priority, spread in lane["wait_s"].items()
    ]
    return make_table(heads, rows, numbers=heads[2:6])


def _kinds_table(document: dict[str, Any]) -> Table:
    heads = ("Request", "Simulated", "Unfinished", "", "p50", "p95", "p99", "Goal p95", "")
    goals = {(goal["kind"], goal["of"]): goal for goal in document["goals"]}
    rows = []
    for kind in document["kinds"]:
        for of, name in (("first", "first_s"), ("whole", "seconds")):
            if kind[name] is None:
                continue
            goal = goals.get((kind["kind"], of))
            told = ("met" if goal["met"] else "missed" if goal["in_reach"] else "out of reach") if goal else ""
            shown = _say(goal["p95_s"]) if goal else ""
            rows.append(
                (kind["kind"], str(kind["came"]), str(kind["unfinished"]), of, *_three(kind[name]), shown, told)
            )
    return make_table(heads, rows, numbers=("Simulated", "Unfinished", "p50", "p95", "p99", "Goal p95"))


def _closing(document: dict[str, Any]) -> list[str]:
    redis = document["redis_bytes"]
    total = sum(redis.values())
    parts = ", ".join(f"{name} {_say_bytes(value)}" for name, value in redis.items())
    cost = document["cost"]
    lines = [
        f"limit: {document['limit'] or 'none'}",
        f"Redis: {_say_bytes(total)}{f' ({parts})' if parts else ''}, besides what it needs empty",
        f"an hour: {cost['processor_hours']:g} processor-hours and {cost['gib_hours']:g} GiB-hours",
    ]
    if "an_hour" in cost:
        lines.append(f"cost: {cost['an_hour']:,.2f} an hour, {cost['a_month']:,.2f} a month, if it always runs")
    lines += [
        f"{goal['kind']}: no number of replicas keeps {_say(goal['p95_s'])}: alone, the work takes that long"
        for goal in document["goals"]
        if not goal["in_reach"]
    ]
    return lines


def _three(spread: dict[str, float]) -> tuple[str, str, str]:
    return _say(spread["p50_s"]), _say(spread["p95_s"]), _say(spread["p99_s"])


def _say(seconds: float) -> str:
    return (
        f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s" if seconds < 600 else f"{seconds:.0f} s"
    )


def _say_bytes(count: float) -> str:
    return f"{count / _GIB:.2f} GiB" if count >= _GIB / 10 else f"{count / 2**20:.1f} MiB"
