"""`python -m tests.load.compare report.json`: what was measured, beside what the simulation foretells of the same load.

The forecast knows the work alone, as it was measured before the run, and the rates and sizes of what came; it knows
nothing of how long anything took during the run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.errors import AntiphonError, InvalidValue
from antiphon.planning import Forecast, Installation, Stage, forecast, load_of, processors_of, read_measured
from tests.load.text import seconds, table

if TYPE_CHECKING:
    from tests.load.report import Report

_SEEDS = 40
_PARTS = ("p50_s", "p95_s", "p99_s", "mean_s")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.compare", description="Forecast and measurement.")
    parser.add_argument("report", type=Path)
    parser.add_argument("--runs", type=int, default=_SEEDS, help=f"how often the run is simulated ({_SEEDS})")
    arguments = parser.parse_args()
    try:
        report: Report = json.loads(arguments.report.read_bytes())
        found = foretell(report, arguments.report, runs=arguments.runs)
    except (OSError, ValueError, KeyError, AntiphonError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    print(draw(report, found))
    return 0


def foretell(report: Report, path: Path, *, runs: int) -> Forecast:
    """Simulate the run of a report again and again. Raises `InvalidValue` when it lacks what that needs."""
    if not report["installation"]:
        raise InvalidValue("the report is of a platform that the harness did not start", param="installation")
    measured = read_measured(path)
    load = load_of(report["load"])
    background = sum(processors_of(load, measured).values()) + report["harness"]["processors"]
    installation = Installation(report["installation"]["replicas"], float(measured.processors), background)
    stages = [Stage(stage["seconds"], stage["part"]) for stage in report["stages"]]
    return forecast(
        load, installation, measured, stages=stages, count_from_s=report["hold_s"], seeds=range(1, runs + 1)
    )


def ratios(report: Report, found: Forecast) -> dict[str, dict[str, float]]:
    """Return forecast divided by measurement, for each kind and figure."""
    return {
        name: {part: foretold / measured for part, measured, foretold in rows} for name, rows in _pairs(report, found)
    }


def draw(report: Report, found: Forecast) -> str:
    """Return the table."""
    rows: list[tuple[str, ...]] = []
    for name, figures in _pairs(report, found):
        for number, (part, measured, foretold) in enumerate(figures):
            shown = (part.removesuffix("_s"), seconds(measured), seconds(foretold), f"{foretold / measured:.2f}x")
            rows.append(("" if number else name, *shown))
    lanes = [
        (lane.lane, f"{report['processors'].get(worker, 0.0):.2f}", f"{lane.processors:.2f}")
        for worker, lane in _workers(found)
    ]
    return "\n\n".join(
        (
            table(("", "", "measured", "foretold", "ratio"), rows, left=2),
            table(("processors used by", "measured", "foretold"), lanes),
        )
    )


def _pairs(report: Report, found: Forecast) -> list[tuple[str, list[tuple[str, float, float]]]]:
    pairs = []
    for kind, one in report["kinds"].items():
        forecasted = found.kind(kind)
        if forecasted is None:
            continue
        for label, name, spread in (("first", "first_s", forecasted.first), ("whole", "seconds", forecasted.whole)):
            measured: dict[str, Any] | None = one[name]
            if measured is None or spread is None:
                continue
            shown = spread.as_dict()
            figures = [(part, measured[part], shown[part]) for part in _PARTS if measured[part] > 0]
            pairs.append((f"{kind}, {label} ({measured['count']:.0f})", figures))
    return pairs


def _workers(found: Forecast) -> list[tuple[str, Any]]:
    names = {"transcribe": "transcriber", "synthesize": "synthesizer", "respond": "responder"}
    return [(names[lane.lane], lane) for lane in found.lanes]


if __name__ == "__main__":
    sys.exit(main())
