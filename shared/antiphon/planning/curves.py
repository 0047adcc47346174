"""How an engine's speed and its use of processors grow with the jobs that it works on at a time."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Curve:
    """A line through measured points, flat beyond the last one and straight from nothing to the first."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        """Take `(jobs, value)` in rising order of jobs, all of them above 0."""
        self._jobs = [jobs for jobs, _ in points]
        self._values = [value for _, value in points]
        # A simulation asks for the same few numbers of jobs again and again.
        self._known: dict[int, float] = {}

    @property
    def most(self) -> float:
        """The greatest value there is."""
        return max(self._values)

    def at(self, jobs: int) -> float:
        """Return the value for so many jobs."""
        known = self._known.get(jobs)
        if known is None:
            known = self._known[jobs] = self._between(jobs)
        return known

    def _between(self, jobs: int) -> float:
        if jobs <= 0:
            return 0.0
        place = bisect_left(self._jobs, jobs)
        if place == len(self._jobs):
            return self._values[-1]
        right_jobs, right = self._jobs[place], self._values[place]
        left_jobs, left = (self._jobs[place - 1], self._values[place - 1]) if place else (0.0, 0.0)
        return left + (right - left) * (jobs - left_jobs) / (right_jobs - left_jobs)
