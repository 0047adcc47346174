"""Entries of a lane in a worker's hands, and how fast it ends them."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.schemas import PRIORITIES


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry in our hands."""

    lane: int
    """Index of its stream: 0 hi, 1 std, 2 bulk."""
    entry: bytes
    fields: dict[bytes, bytes]
    deliveries: int
    check_cancelled: bool = True

    @property
    def place(self) -> str:
        """Where on the lane it is: entries of two streams may have the same id."""
        return f"{PRIORITIES[self.lane]}_{self.entry.decode()}"


@dataclass(slots=True)
class Pace:
    """How many jobs a second this worker ends while it has any."""

    done: int = 0
    busy_s: float = 0.0
    rate: float = 0.0
    _since: float | None = field(default=None)

    def begin(self, now: float) -> None:
        """Note that work is going on."""
        if self._since is None:
            self._since = now

    def end(self, now: float, *, idle: bool) -> None:
        """Note that a job ended; `idle` when it was the last one running."""
        self.done += 1
        if idle:
            self._close(now)

    def measure(self, now: float) -> float:
        """Return jobs per second, smoothed over calls."""
        running = self._since is not None
        self._close(now)
        if running:
            self._since = now
        if self.done and self.busy_s > 0:
            latest = self.done / self.busy_s
            self.rate = latest if self.rate == 0 else 0.7 * self.rate + 0.3 * latest
            self.done, self.busy_s = 0, 0.0
        return self.rate

    def _close(self, now: float) -> None:
        if self._since is not None:
            self.busy_s += now - self._since
            self._since = None
