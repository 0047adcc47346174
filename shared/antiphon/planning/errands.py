"""What a request has done for it: steps on lanes, some after others, some beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from antiphon.schemas import Kind, Priority


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a job that others may wait for.

    Attributes:
        lane: where it is done; None for time that passes by itself.
        turns_s: seconds that each turn at the engine takes when it is alone.
        after: steps that must have ended.
        goes_on: it is of the same job as the step before it, and follows in the same slot.
        priority: of the job.
    """

    lane: Kind | None
    turns_s: tuple[float, ...]
    after: tuple[int, ...] = ()
    goes_on: bool = False
    priority: Priority = "std"


@dataclass(frozen=True, slots=True)
class Errand:
    """The steps of one request; `first` is the one that ends with the first thing its caller gets."""

    steps: tuple[Step, ...]
    first: int | None = None


@dataclass(frozen=True)
class Callers:
    """People who come whatever becomes of others: `rate_per_s` times a second, each with `batch` errands at once."""

    kind: str
    rate_per_s: float
    draw: Callable[[Random], Errand]
    batch: int = 1


@dataclass(frozen=True)
class Talkers:
    """People who are there: each has an errand, waits for its end, lets `pause_s` pass, and has the next one."""

    kind: str
    count: int
    draw: Callable[[Random], Errand]
    pause_s: Callable[[Random], float]


def lognormal(rng: Random, *, mean: float, spread: float) -> float:
    """Draw a positive number; `spread` is the standard deviation divided by the mean, 0 for the mean itself."""
    if spread <= 0 or mean <= 0:
        return mean
    variance = math.log1p(spread * spread)
    return mean * rng.lognormvariate(-variance / 2, variance**0.5)
