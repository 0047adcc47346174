"""Compare things fairly on a busy machine: by turns, so that what disturbs one soon disturbs the others."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

Sample = dict[str, float]
"""Figures of one round, by name."""


@dataclass(frozen=True)
class Compared:
    """A figure of two sides: the median round of each, and the median over the rounds of ratio and difference."""

    ours: float
    baseline: float
    ratio: float
    difference: float


async def take_turns(
    contenders: Mapping[str, Callable[[], Awaitable[Sample]]], *, rounds: int, warm: bool = True
) -> dict[str, list[Sample]]:
    """Run every contender once a round, in alternating order, after a round that is not counted if `warm`."""
    if warm:
        for run in contenders.values():
            await run()
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders.items())
        for name, run in order if number % 2 == 0 else reversed(order):
            samples[name].append(await run())
    return samples


def compare(ours: Sequence[Sample], baseline: Sequence[Sample], figure: str) -> Compared:
    """Compare a figure round by round."""
    pairs = [(mine[figure], theirs[figure]) for mine, theirs in zip(ours, baseline, strict=True)]
    return Compared(
        ours=median(mine for mine, _ in pairs),
        baseline=median(theirs for _, theirs in pairs),
        ratio=median(mine / theirs if theirs else 1.0 for mine, theirs in pairs),
        difference=median(mine - theirs for mine, theirs in pairs),
    )


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which `part` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]
