"""When callers come who do not know of each other: a Poisson process whose rate rises in stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Stage:
    """So many seconds at a part of the whole load."""

    seconds: float
    part: float = 1.0


def ramp(*, ramp_s: float, hold_s: float, steps: int = 4) -> tuple[Stage, ...]:
    """Return stages that rise from a first part to the whole load within `ramp_s`, and stay there for `hold_s`."""
    rising = [Stage(ramp_s / (steps - 1), number / steps) for number in range(1, steps)] if ramp_s > 0 else []
    return (*rising, Stage(hold_s))


def arrival_times(rng: Random, *, rate_per_s: float, stages: Sequence[Stage]) -> Iterator[float]:
    """Yield seconds from the start at which somebody comes; `rate_per_s` is that of the whole load."""
    start_s = 0.0
    for stage in stages:
        rate = rate_per_s * stage.part
        end_s = start_s + stage.seconds
        if rate > 0:
            # The process has no memory: each stage may begin it anew.
            at_s = start_s + rng.expovariate(rate)
            while at_s < end_s:
                yield at_s
                at_s += rng.expovariate(rate)
        start_s = end_s


def part_at(stages: Sequence[Stage], at_s: float) -> float:
    """Return the part of the whole load that there is at a moment; 0 after the end."""
    for stage in stages:
        if at_s < stage.seconds:
            return stage.part
        at_s -= stage.seconds
    return 0.0
