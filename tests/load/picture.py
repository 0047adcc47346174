"""The report as a picture: what came and was done, how long it took, what waited, and who used the processors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from antiphon.planning import percentile

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from tests.load.report import Report

# Of a palette that people who see fewer colours can tell apart (Okabe and Ito).
COLOURS = {"files": "#0072B2", "speech": "#E69F00", "chat": "#009E73", "sessions": "#CC79A7", "jobs": "#D55E00"}
LANES = {
    "transcribe": "#0072B2",
    "synthesize": "#E69F00",
    "respond": "#009E73",
    "realtime": "#CC79A7",
    "translate": "#D55E00",
    "webhook": "#999999",
}
PROCESSES = {
    "transcriber": "#0072B2",
    "synthesizer": "#E69F00",
    "responder": "#009E73",
    "realtime": "#CC79A7",
    "ingest": "#56B4E9",
    "server": "#555555",
    "translator": "#F0E442",
    "webhooks": "#BBBBBB",
}
_GREY = "#777777"
_LEAST_SPAN_S, _SPANS = 5.0, 16
_FEW = 3


def paint(report: Report, path: Path) -> None:
    """Write the picture as a PNG."""
    figure = Figure(figsize=(12, 13), dpi=110, layout="constrained")
    axes: list[Axes] = list(figure.subplots(4, 1, sharex=True, height_ratios=[1.25, 1.5, 1, 1]))
    span_s = max(_LEAST_SPAN_S, report["ended_s"] / _SPANS)
    _counts(axes[0], report)
    _latencies(axes[1], report, span_s)
    _backlog(axes[2], report)
    _processors(axes[3], report)
    for one in axes:
        _frame(one, report)
    axes[-1].set_xlabel("seconds since the run began")
    axes[-1].set_xlim(0, max(report["ended_s"], 1.0))
    rates = ", ".join(
        f"{kind} {one['offered_per_s'] * 60:.3g}/min" for kind, one in report["kinds"].items() if one["offered"]
    )
    figure.suptitle(f"Antiphon under mixed load: {rates}\n{report['machine']}", fontsize=11)
    figure.savefig(path)


def _frame(axis: Axes, report: Report) -> None:
    axis.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    start_s = 0.0
    for stage in report["stages"]:
        axis.axvline(start_s, color="#cccccc", linewidth=0.8, linestyle=":")
        start_s += stage["seconds"]
    axis.axvspan(report["hold_s"], report["end_s"], color="#f4f4f0", zorder=0)
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        axis.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.005, 1.0), frameon=False, fontsize=9)


def _counts(axis: Axes, report: Report) -> None:
    """Draw how many have come and how many were answered, for each kind."""
    for kind in report["kinds"]:
        rows = [row for row in report["rows"] if row[0] == kind]
        came = sorted(row[1] for row in rows)
        done = sorted(row[3] for row in rows if row[3] is not None and not row[4])
        wrong = [(row[3], row[4]) for row in rows if row[4] and row[3] is not None]
        for times, style, label in ((came, "--", None), (done, "-", kind)):
            axis.step(
                [0.0, *times, report["ended_s"]],
                [*range(len(times) + 1), len(times)],
                where="post",
                color=COLOURS[kind],
                linestyle=style,
                linewidth=1.1 if style == "--" else 1.8,
                label=label,
            )
        if wrong:
            heights = [sum(time <= at_s for time in done) for at_s, _ in wrong]
            axis.plot([at_s for at_s, _ in wrong], heights, "x", color="#c00000", markersize=7, zorder=5)
    axis.plot([], [], "--", color=_GREY, linewidth=1.1, label="offered")
    axis.plot([], [], "-", color=_GREY, linewidth=1.8, label="answered")
    axis.plot([], [], "x", color="#c00000", label="error or refusal")
    axis.set_ylabel("requests so far")
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_title("Requests offered and answered (shaded: the whole load)", loc="left", fontsize=10)


def _latencies(axis: Axes, report: Report, span_s: float) -> None:
    """Draw each answer as a dot, and their median and 95th percentile over spans of time."""
    for kind in report["kinds"]:
        points = [(row[1], row[3] - row[1]) for row in report["rows"] if row[0] == kind and row[3] and not row[4]]
        if not points:
            continue
        colour = COLOURS[kind]
        axis.plot(*zip(*points, strict=True), ".", color=colour, alpha=0.5, markersize=6)
        spans: dict[int, list[float]] = {}
        for due_s, took_s in points:
            spans.setdefault(int(due_s // span_s), []).append(took_s)
        full = [(number, times) for number, times in sorted(spans.items()) if len(times) >= min(_FEW, len(points))]
        middles = [(number + 0.5) * span_s for number, _ in full]
        for part, style, label in ((0.5, "-", kind), (0.95, "--", None)):
            values = [percentile(times, part) for _, times in full]
            axis.plot(middles, values, style, color=colour, linewidth=1.8 if part == 0.5 else 1.1, label=label)
    axis.plot([], [], "-", color=_GREY, linewidth=1.8, label="p50")
    axis.plot([], [], "--", color=_GREY, linewidth=1.1, label="p95")
    axis.plot([], [], ".", color=_GREY, alpha=0.5, label="one answer")
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_ylabel("seconds to the whole answer")
    axis.set_title(
        f"Latency by when it was due, percentiles over {span_s:.0f} s (logarithmic)", loc="left", fontsize=10
    )


def _backlog(axis: Axes, report: Report) -> None:
    moments = report["moments"]
    times = [moment["at_s"] for moment in moments]
    lanes = sorted({lane for moment in moments for lane in (*moment["waiting"], *moment["held"])})
    drawn = False
    for lane in lanes:
        if lane in ("realtime", "webhook"):
            continue
        waiting = [moment["waiting"].get(lane, 0) for moment in moments]
        held = [moment["held"].get(lane, 0) for moment in moments]
        if not any(waiting) and not any(held):
            continue
        drawn = True
        colour = LANES.get(lane, _GREY)
        axis.step(times, waiting, where="post", color=colour, linewidth=1.8, label=lane)
        axis.step(times, held, where="post", color=colour, linewidth=1.0, linestyle="--")
    if drawn:
        axis.plot([], [], "-", color=_GREY, linewidth=1.8, label="waits")
        axis.plot([], [], "--", color=_GREY, linewidth=1.0, label="with a worker")
    else:
        _nothing(axis, "the platform's metrics were not read")
    axis.set_ylabel("jobs")
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_title("Jobs on each lane", loc="left", fontsize=10)


def _processors(axis: Axes, report: Report) -> None:
    moments = report["moments"]
    times = [moment["at_s"] for moment in moments]
    names = [name for name in PROCESSES if any(name in moment["processors"] for moment in moments)]
    if names:
        layers = [[moment["processors"].get(name, 0.0) for moment in moments] for name in names]
        axis.stackplot(times, layers, labels=names, colors=[PROCESSES[name] for name in names], alpha=0.85, linewidth=0)
    own = [moment["processors"].get("load harness", 0.0) for moment in moments]
    axis.plot(times, own, color="black", linewidth=1.2, label="load harness")
    if not names:
        _nothing(axis, "the processes of the platform are not on this machine")
    axis.set_ylabel("processors in use")
    axis.set_ylim(bottom=0)
    axis.set_title("Processors, by process", loc="left", fontsize=10)


def _nothing(axis: Axes, why: str) -> None:
    options: dict[str, Any] = {"transform": axis.transAxes, "ha": "center", "va": "center", "color": _GREY}
    axis.text(0.5, 0.5, why, **options)
