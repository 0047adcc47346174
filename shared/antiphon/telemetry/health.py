"""Whether a process is alive and ready, as its own parts see it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

STUCK_S = 30.0
"""Longer than a read may wait, a server may be looked for and a loop may pause between two tries."""


def _reached() -> float:
    return 0.0


class Pulse:
    """Shows that one loop of a process turns. Costs a clock reading."""

    __slots__ = ("_due_s", "_within_s", "name")

    def __init__(self, name: str, *, within_s: float) -> None:
        self.name = name
        self._within_s = within_s
        self._due_s = math.inf

    def turn(self) -> None:
        """Note a turn; another one is due within the bound."""
        self._due_s = time.monotonic() + self._within_s

    def rest(self) -> None:
        """Note that the next turn may take any time: the loop has ended, or waits for what only others can do."""
        self._due_s = math.inf

    def is_stuck(self) -> bool:
        """Tell whether a turn is overdue."""
        return time.monotonic() > self._due_s


class Health:
    """The state of one process. Made where it begins, passed to what works in it."""

    def __init__(self, stopping: asyncio.Event | None = None, *, stuck_s: float = STUCK_S) -> None:
        """`stopping` is set when the process is to end; a loop that does not turn for `stuck_s` is stuck."""
        self.ready = False
        """Everything is loaded, and work is taken."""
        self.store_away_s: Callable[[], float] = _reached
        """Tells for how long the job store has not answered; 0 while it does. No reason to be unwell."""
        self.before_metrics: list[Callable[[], Awaitable[None]]] = []
        """Called when the metrics are asked for, for those that have to be looked up."""
        self._stopping = stopping or asyncio.Event()
        self._stuck_s = stuck_s
        self._pulses: list[Pulse] = []

    @property
    def draining(self) -> bool:
        """Tell whether no new work is to come here."""
        return self._stopping.is_set()

    def loop(self, name: str, *, pause_s: float = 0.0) -> Pulse:
        """Return what a loop shows its turns with, which may be `pause_s` apart. None is due before the first one."""
        pulse = Pulse(name, within_s=self._stuck_s + pause_s)
        self._pulses.append(pulse)
        return pulse

    def stuck(self) -> list[str]:
        """Return the names of the loops that have not turned in time."""
        return [pulse.name for pulse in self._pulses if pulse.is_stuck()]
