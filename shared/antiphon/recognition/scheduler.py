"""Which window is next when several jobs have one. Values in, values out: no clock, no threads.

First come the priorities, strictly. Within one it is the turn of the job that was served least, so that a short job
waits for the window in progress and not for the jobs before it; but nothing is overtaken for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from antiphon.schemas import PRIORITIES, Priority

PATIENCE = 16
"""Times that a window of a job may be overtaken by later ones before it goes first."""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A window that waits.

    Attributes:
        number: rises with each ticket.
        job: whose it is.
        likeness: what tickets must share to be served together.
    """

    number: int
    job: str
    priority: Priority = "std"
    likeness: Hashable = None


class Scheduler:
    """The windows that wait, and how often each job has been served."""

    def __init__(self) -> None:
        self._waiting: dict[int, Ticket] = {}
        self._served: Counter[str] = Counter()
        self._overtaken: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ticket: Ticket) -> None:
        """Let a window wait."""
        self._waiting[ticket.number] = ticket

    def drop(self, ticket: Ticket) -> None:
        """Forget a window, waiting or not."""
        self._waiting.pop(ticket.number, None)
        self._overtaken.pop(ticket.number, None)

    def forget(self, job: str) -> None:
        """Forget how often a job that has ended was served."""
        del self._served[job]

    def take(self, *, idle: int, batch: int) -> tuple[Ticket, ...]:
        """Return the windows to serve next: one or more of the same likeness; none when nothing waits.

        `idle` calls can run side by side now. Up to `batch` windows share a call, but only as far as there are more
        windows than calls: side by side is faster than together.
        """
        if not self._waiting:
            return ()
        size = min(batch, -(-len(self._waiting) // max(1, idle)))
        first = self._next(tuple(self._waiting.values()))
        chosen = [first]
        self._serve(first)
        while len(chosen) < size:
            alike = [
                ticket
                for ticket in self._waiting.values()
                if ticket.likeness == first.likeness and ticket.priority == first.priority
            ]
            if not alike:
                break
            chosen.append(self._next(alike))
            self._serve(chosen[-1])
        return tuple(chosen)

    def _next(self, tickets: tuple[Ticket, ...] | list[Ticket]) -> Ticket:
        return min(tickets, key=self._rank)

    def _rank(self, ticket: Ticket) -> tuple[int, bool, int, int]:
        patient = self._overtaken[ticket.number] < PATIENCE
        return PRIORITIES.index(ticket.priority), patient, self._served[ticket.job] if patient else 0, ticket.number

    def _serve(self, ticket: Ticket) -> None:
        self.drop(ticket)
        self._served[ticket.job] += 1
        for waiting in self._waiting.values():
            if waiting.priority == ticket.priority and waiting.number < ticket.number:
                self._overtaken[waiting.number] += 1
