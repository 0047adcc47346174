"""One line of the report: a figure of ours, the same of the bare library, and what it should be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Comparison = Literal["ratio", "difference", "value"]


@dataclass(frozen=True)
class Aim:
    """A bound that a figure should keep."""

    sense: Literal["<=", ">="]
    bound: float

    def met(self, value: float) -> bool:
        """Tell whether `value` keeps the bound."""
        return value <= self.bound if self.sense == "<=" else value >= self.bound


@dataclass(frozen=True)
class Figure:
    """`compared` says what `value` is: ours divided by the baseline, ours less the baseline, or ours alone."""

    part: str
    name: str
    unit: str
    ours: float
    baseline: float | None
    compared: Comparison
    value: float
    aim: Aim | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """`yes` or `no`; empty when nothing is aimed at."""
        return "" if self.aim is None else "yes" if self.aim.met(self.value) else "NO"

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into the JSON file."""
        return asdict(self) | {"met": None if self.aim is None else self.aim.met(self.value)}


_HEAD = ("", "ours", "baseline", "unit", "compared", "aim", "met")


def draw(figures: list[Figure]) -> str:
    """Return a plain-text table, one block for each part."""
    rows = [_row(figure) for figure in figures]
    widths = [max(len(row[i]) for row in [_HEAD, *rows]) for i in range(len(_HEAD))]
    lines = [_line(_HEAD, widths)]
    part = None
    for figure, row in zip(figures, rows, strict=True):
        if figure.part != part:
            part = figure.part
            lines += ["", part]
        lines.append(_line(row, widths) + (f"  {figure.note}" if figure.note else ""))
    return "\n".join(line.rstrip() for line in lines)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join(["  " + row[0].ljust(widths[0]), *cells[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    sign = {"ratio": "x", "difference": f" {figure.unit}", "value": f" {figure.unit}"}[figure.compared]
    aim = "" if figure.aim is None else f"{figure.aim.sense} {figure.aim.bound:g}{sign}"
    shown = (
        "" if figure.compared == "value" else f"{_number(figure.value, signed=figure.compared == 'difference')}{sign}"
    )
    return (
        figure.name,
        _number(figure.ours),
        "" if figure.baseline is None else _number(figure.baseline),
        figure.unit,
        shown,
        aim,
        figure.verdict,
    )


def _number(value: float, *, signed: bool = False) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
