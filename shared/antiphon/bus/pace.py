"""How fast the workers of a lane are, as they report it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from antiphon.bus.connection import hash_of
from antiphon.bus.keys import LaneKeys
from antiphon.schemas import Kind

if TYPE_CHECKING:
    from antiphon.bus.outbox import Outbox

_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker said last."""

    seen_ms: int
    """When, by the server's clock."""
    slots: int
    busy: int
    rate: float
    """Jobs a second while it has any."""


@dataclass
class LanePace:
    """Remembers how many jobs a second each lane ends. Asking costs no round trip: it is refreshed behind the asker."""

    outbox: Outbox
    _rates: dict[Kind, float] = field(default_factory=dict)
    _asked_s: dict[Kind, float] = field(default_factory=dict)

    def rate(self, kind: Kind) -> float:
        """Return jobs per second of all workers together, 0 while it is unknown."""
        now = time.monotonic()
        if now - self._asked_s.get(kind, -_FRESH_S) >= _FRESH_S:
            self._asked_s[kind] = now
            self.outbox.call("HGETALL", LaneKeys(kind).workers).add_done_callback(partial(self._learn, kind))
        return self._rates.get(kind, 0.0)

    def _learn(self, kind: Kind, reply: asyncio.Future[Any]) -> None:
        if not reply.cancelled() and reply.exception() is None:
            self._rates[kind] = sum(report.rate for report in reports_of(reply.result()).values())


def reports_of(reply: Any) -> dict[str, WorkerReport]:
    """Return the reports in the hash of workers, by consumer name."""
    found = {}
    for name, report in hash_of(reply).items():
        seen, _, said = report.partition(b" ")
        facts = orjson.loads(said)
        found[name.decode()] = WorkerReport(int(seen), facts["slots"], facts["busy"], facts["rate"])
    return found
