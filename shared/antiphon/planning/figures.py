"""What is said about many numbers in a few."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds: how many there were, their mean, and below which of them half, 95 % and 99 % lie."""

    count: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, seconds: Collection[float]) -> Spread | None:
        """Return None for no numbers."""
        if not seconds:
            return None
        ordered = sorted(seconds)
        return cls(
            count=len(ordered),
            mean_s=math.fsum(ordered) / len(ordered),
            p50_s=_at(ordered, 0.5),
            p95_s=_at(ordered, 0.95),
            p99_s=_at(ordered, 0.99),
            max_s=ordered[-1],
        )

    def as_dict(self) -> dict[str, float]:
        """Return what goes into a JSON document."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def percentile(values: Collection[float], part: float) -> float:
    """Return the least of the values which at least `part` (0 to 1) of them do not exceed. Raises `ValueError`."""
    if not values:
        raise ValueError("no values")
    return _at(sorted(values), part)


def _at(ordered: Sequence[float], part: float) -> float:
    # A little less than asked for, lest 0.95 of 20 be the twentieth for the error of a product.
    return ordered[min(len(ordered), max(1, math.ceil(part * len(ordered) - 1e-9))) - 1]
