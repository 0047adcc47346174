"""The report as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.load.report import Report

_NOTE = {
    "files": "to the whole text; first: of those streamed",
    "speech": "to the last sound",
    "chat": "first: sound of the answer",
    "sessions": "a turn, from the end of speech; first: sound of the answer",
    "jobs": "from being sent to their end",
}


def draw(report: Report) -> str:
    """Return tables: each kind of request, each lane, the turns of sessions, the processors."""
    held_s = report["end_s"] - report["hold_s"]
    parts = [
        f"{report['machine']}\n"
        f"{report['base_url']}: {sum(one['whole_run']['offered'] for one in report['kinds'].values())} requests in "
        f"{report['ended_s']:.0f} s; the figures are of the {held_s:.0f} s of the whole load"
        + (" (interrupted)" if report["interrupted"] else ""),
        _kinds(report["kinds"]),
    ]
    if report["lanes"]:
        parts.append(_lanes(report["lanes"]))
    if report["turns"]:
        parts.append(_turns(report["turns"]))
    if report["processors"]:
        parts.append(_processors(report))
    parts.append(_harness(report["harness"]))
    return "\n\n".join(parts)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a plain table; the first `left` columns are text."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = []
    for row in (heads, *rows):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def seconds(value: float | None) -> str:
    """Return seconds to about three digits."""
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _kinds(kinds: Report) -> str:
    heads = ("", "offered/min", "done/min", "errors", "refused", "", "p50", "p95", "p99", "max", "real time")
    rows = []
    for kind, one in kinds.items():
        rows.append(
            (
                kind,
                f"{one['offered_per_s'] * 60:.1f}",
                f"{one['done_per_s'] * 60:.1f}",
                str(sum(one["errors"].values())),
                str(one["refused"]),
                "whole",
                *_spread(one["seconds"]),
                f"{one['real_time_factor']['p50_s']:.2f}x" if one["real_time_factor"] else "-",
            )
        )
        for name, of in (("first text", "token_s"), ("first", "first_s")):
            if one[of]:
                rows.append(("", "", "", "", "", name, *_spread(one[of]), ""))
    lines = [table(heads, rows)]
    for kind, one in kinds.items():
        lines.append(f"{kind}: {_NOTE[kind]}" + "".join(f"; {count} x {name}" for name, count in one["errors"].items()))
    return "\n".join(lines)


def _spread(spread: dict[str, float] | None) -> tuple[str, str, str, str]:
    if spread is None:
        return ("-", "-", "-", "-")
    return (
        seconds(spread["p50_s"]),
        seconds(spread["p95_s"]),
        seconds(spread["p99_s"]),
        seconds(spread["max_s"]),
    )


def _lanes(lanes: Report) -> str:
    heads = ("where the time went", "", "jobs", "mean", "p95", "of the whole")
    rows: list[tuple[str, ...]] = []
    for lane, one in lanes.items():
        count = one["attempt_s"]["count"]
        waited = sum(wait["mean_s"] * wait["count"] for wait in one["wait_s"].values()) / max(1, count)
        whole = waited + one["attempt_s"]["mean_s"]
        name = lane
        for priority, wait in one["wait_s"].items():
            rows.append((name, f"waits, {priority}", str(wait["count"]), *_mean(wait), ""))
            name = ""
        rows.append((name, "waits, all", str(count), seconds(waited), "", _share(waited, whole)))
        for stage, spread in one["stages_s"].items():
            each = spread["mean_s"] * spread["count"] / max(1, count)
            rows.append(("", f"  {stage}", str(spread["count"]), *_mean(spread), _share(each, whole)))
        rest = one["rest_mean_s"]
        rows.append(("", "  rest of the attempt", str(count), seconds(rest), "", _share(rest, whole)))
        rows.append(("", "attempt", str(count), *_mean(one["attempt_s"]), _share(one["attempt_s"]["mean_s"], whole)))
    return table(heads, rows, left=2)


def _turns(turns: Report) -> str:
    rows = [
        (stage, str(one["count"]), seconds(one["mean_s"]), seconds(one["p50_s"]), seconds(one["p95_s"]))
        for stage, one in turns.items()
    ]
    return table(("stages of a turn", "turns", "mean", "p50", "p95"), rows)


def _processors(report: Report) -> str:
    total = sum(report["processors"].values())
    memory = report["memory_mib"]
    rows = [
        (
            name,
            f"{value:.2f}",
            f"{value / total:.0%}" if total else "-",
            f"{memory[name]:.0f}" if name in memory else "-",
        )
        for name, value in sorted(report["processors"].items(), key=lambda item: -item[1])
    ]
    return table(("process", "processors", "share", "MiB each"), [*rows, ("all", f"{total:.2f}", "", "")])


def _harness(harness: Report) -> str:
    late: dict[str, Any] | None = harness["late_s"]
    said = f"the harness itself used {harness['processors']:.2f} of a processor"
    return said + (f" and sent requests {seconds(late['p99_s'])} late at most (p99)" if late else "")


def _mean(spread: Report) -> tuple[str, str]:
    return seconds(spread["mean_s"]), seconds(spread["p95_s"])


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "-"
