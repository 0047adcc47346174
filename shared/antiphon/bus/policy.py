"""Pure rules: what becomes of a failed attempt, and how many jobs may wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

_LEAST_LINE = 8
"""Waiting jobs that are admitted however slow the lane is."""
_UNKNOWN_S = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Up to a number of attempts, after pauses that double, or those of a schedule."""

    max_attempts: int
    backoff: timedelta
    max_backoff: timedelta
    schedule: tuple[timedelta, ...] = ()
    """The pause after each attempt; the last one counts for all that follow."""

    def delay_ms(self, attempt: int, *, jitter: float, asked_s: float | None = None) -> int:
        """Return how long to wait after failed attempt number `attempt` (from 1); `jitter` is uniform in [0, 1)."""
        if self.schedule:
            wait_s = self.schedule[min(attempt, len(self.schedule)) - 1].total_seconds() * (1 + jitter / 5)
        else:
            wait_s = min(self.backoff.total_seconds() * 2 ** min(attempt - 1, 30), self.max_backoff.total_seconds())
            wait_s *= 0.5 + jitter
        return int(1000 * max(wait_s, asked_s or 0.0))

    def exhausted(self, attempt: int) -> bool:
        """Tell whether attempt number `attempt` was the last one."""
        return attempt >= self.max_attempts


def most_waiting(limit: int, *, rate: float, max_wait_s: float) -> int:
    """Return how many jobs may wait where `rate` end in a second, so that none waits longer than `max_wait_s`."""
    return limit if rate <= 0 else min(limit, max(_LEAST_LINE, int(rate * max_wait_s)))


def wait_told_s(wait_ms: int) -> float:
    """Return the seconds that a refused caller is told; a negative figure is unknown."""
    return _UNKNOWN_S if wait_ms < 0 else wait_ms / 1000
