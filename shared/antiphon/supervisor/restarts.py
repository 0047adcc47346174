"""When a child that ended is started again. A function of values; the driver does what it says."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from antiphon.settings import CANNOT_START


@dataclass(frozen=True)
class RestartPolicy:
    """How patient to be."""

    first_delay_s: float = 0.25
    longest_delay_s: float = 30.0
    steady_after_s: float = 60.0  # a run this long wipes out the failures before it
    tries_before_ready: int = 4  # a child that never came up at all is a fault to report, not to repeat


@dataclass(frozen=True)
class Exit:
    """How a child ended: its exit code, negative for a signal, and how long it ran."""

    code: int
    ran_s: float

    def __str__(self) -> str:
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            return f"was killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was killed by signal {-self.code}"


@dataclass(frozen=True)
class Restart:
    """Start again after `delay_s`; `failures` counts the short runs in a row."""

    delay_s: float
    failures: int


@dataclass(frozen=True)
class GiveUp:
    """Do not start again."""


def decide(ended: Exit, *, failures: int, was_ready: bool, policy: RestartPolicy) -> Restart | GiveUp:
    """Return what to do with a child that ended unasked after `failures` short runs before this one.

    `was_ready`: the whole platform has been ready once. From then on nothing is given up: what is broken now may be
    mended while the rest serves. Before that, a child that says it cannot start, or keeps dying, ends the start.
    """
    failures = 1 if ended.ran_s >= policy.steady_after_s else failures + 1
    if ended.code == CANNOT_START:
        return Restart(policy.longest_delay_s, failures) if was_ready else GiveUp()
    if not was_ready and failures >= policy.tries_before_ready:
        return GiveUp()
    exponent = min(failures - 1, 30)  # bounded: two to the power of a long night overflows
    return Restart(min(policy.longest_delay_s, policy.first_delay_s * 2**exponent), failures)
