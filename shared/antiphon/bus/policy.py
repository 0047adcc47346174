"""Pure rules: what becomes of a failed attempt, and how long a refused caller should wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

_MIN_WAIT_S, _MAX_WAIT_S = 1.0, 600.0
_UNKNOWN_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter, up to a number of attempts."""

    max_attempts: int
    backoff: timedelta
    max_backoff: timedelta

    def delay_ms(self, attempt: int, *, jitter: float, asked_s: float | None = None) -> int:
        """Return how long to wait after failed attempt number `attempt` (from 1); `jitter` is uniform in [0, 1)."""
        wait_s = min(self.backoff.total_seconds() * 2 ** min(attempt - 1, 30), self.max_backoff.total_seconds())
        return int(1000 * max(wait_s * (0.5 + jitter), asked_s or 0.0))

    def exhausted(self, attempt: int) -> bool:
        """Tell whether attempt number `attempt` was the last one."""
        return attempt >= self.max_attempts


def wait_until_admitted_s(depth: int, limit: int, rates: list[float]) -> float:
    """Return seconds until a lane at `depth` is a tenth below `limit`; workers end jobs at `rates` per second."""
    rate = sum(rates)
    if rate <= 0:
        return _UNKNOWN_WAIT_S
    return min(max((depth - 0.9 * limit) / rate, _MIN_WAIT_S), _MAX_WAIT_S)
