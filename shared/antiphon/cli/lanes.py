"""`antiphon lanes`: how late each lane is, why, and what it will take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

from rich.live import Live
from rich.table import Table

from antiphon.bus import Bus, LaneView
from antiphon.cli.bus import on_bus
from antiphon.cli.tables import console, make_table, print_json, say_seconds
from antiphon.schemas import JOB_SCHEMAS, PRIORITIES, Kind

HEADS = (
    "Lane",
    "Workers",
    "Busy",
    *(f"Waiting {priority}" for priority in PRIORITIES),
    "Oldest",
    "Jobs/s",
    "Delayed",
    "Dead",
    "Done in",
)


def show_lanes(*, as_json: bool, watch_s: float | None) -> None:
    """Print every lane once, or again every `watch_s` seconds until Ctrl-C.

    On a terminal the table is drawn in place, else one follows the other; JSON then takes a line each.
    """

    async def show(bus: Bus) -> None:
        if watch_s is not None:
            await _watch(bus, every_s=watch_s, as_json=as_json)
        elif as_json:
            print_json(describe(await bus.lanes()))
        else:
            console().print(draw(await bus.lanes()))

    # Ctrl-C is how watching ends.
    with suppress(KeyboardInterrupt) if watch_s is not None else nullcontext():
        on_bus(show)


def describe(lanes: Mapping[Kind, LaneView]) -> dict[str, Any]:
    """Return what `--json` prints: times in seconds, None where it is not known."""
    return {
        "lanes": [
            {
                "lane": view.kind,
                "workers": view.workers,
                "slots": view.slots,
                "busy": view.busy,
                "rate": view.rate,
                "backlog": {priority: view.backlog.get(priority, 0) for priority in PRIORITIES},
                "pending": view.pending,
                "delayed": view.delayed,
                "dead": view.dead,
                "oldest_s": _rounded(view.oldest_s),
                "estimate_s": _rounded(view.estimate_s),
            }
            for view in _worth_showing(lanes)
        ]
    }


def draw(lanes: Mapping[Kind, LaneView]) -> Table:
    """Return the table: one line for each lane."""
    rows = [
        (
            view.kind,
            str(view.workers),
            f"{view.busy}/{view.slots}" if view.workers else "",
            *(str(view.backlog.get(priority, 0)) for priority in PRIORITIES),
            say_seconds(view.oldest_s),
            f"{view.rate:.2f}" if view.workers else "",
            str(view.delayed),
            str(view.dead),
            _say_estimate(view),
        )
        for view in _worth_showing(lanes)
    ]
    return make_table(HEADS, rows, numbers=HEADS[1:])


def _worth_showing(lanes: Mapping[Kind, LaneView]) -> list[LaneView]:
    """Leave out lanes that no service of this version works on, unless somebody has put jobs there."""
    return [view for kind, view in lanes.items() if kind in JOB_SCHEMAS or view.workers or _count(view)]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _count(view: LaneView) -> int:
    return view.waiting + view.pending + view.delayed + view.dead


def _say_estimate(view: LaneView) -> str:
    if not view.waiting and not view.pending:
        return ""
    if not view.workers:
        return "no worker"
    return "unknown" if view.estimate_s is None else say_seconds(view.estimate_s)


async def _watch(bus: Bus, *, every_s: float, as_json: bool) -> None:
    shown = console()
    if as_json or not shown.is_terminal:
        while True:
            lanes = await bus.lanes()
            if as_json:
                print(json.dumps(describe(lanes)), flush=True)
            else:
                shown.print(draw(lanes))
            await asyncio.sleep(every_s)
    with Live(console=shown, auto_refresh=False) as live:
        while True:
            live.update(draw(await bus.lanes()), refresh=True)
            await asyncio.sleep(every_s)
