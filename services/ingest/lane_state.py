"""What the door tells of all lanes when its metrics are asked for: of lanes without a worker nobody else could."""

from __future__ import annotations

import asyncio
import time

from antiphon.bus import Bus, LaneView
from antiphon.errors import AntiphonError
from antiphon.telemetry import instruments

_FRESH_S = 1.0
_TIMEOUT_S = 1.0
_GAUGES = (
    instruments.LANE_WAITING,
    instruments.LANE_PENDING,
    instruments.LANE_DELAYED,
    instruments.LANE_DEAD,
    instruments.LANE_OLDEST_SECONDS,
    instruments.LANE_WORKERS,
    instruments.LANE_SLOTS,
    instruments.LANE_BUSY,
    instruments.STORE_BYTES,
)


class LaneState:
    """Keeps the gauges of lanes and store; they are absent while the bus is away, for nobody knows then."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._looked_s = -_FRESH_S
        self._looking = asyncio.Lock()

    async def refresh(self) -> None:
        """Look, about once a second however often this is called. Takes a second at most, raises nothing."""
        async with self._looking:
            if time.monotonic() - self._looked_s < _FRESH_S:
                return
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    lanes = await self._bus.lanes()
                    memory = await self._bus.memory()
            except (AntiphonError, TimeoutError):
                for gauge in _GAUGES:
                    gauge.clear()
            else:
                for view in lanes.values():
                    _tell(view)
                for kind, size in zip(("used", "limit"), memory, strict=True):
                    instruments.STORE_BYTES.labels(kind).set(size)
            self._looked_s = time.monotonic()


def _tell(view: LaneView) -> None:
    lane = view.kind
    for priority, count in view.backlog.items():
        instruments.LANE_WAITING.labels(lane, priority).set(count)
    instruments.LANE_PENDING.labels(lane).set(view.pending)
    instruments.LANE_DELAYED.labels(lane).set(view.delayed)
    instruments.LANE_DEAD.labels(lane).set(view.dead)
    instruments.LANE_OLDEST_SECONDS.labels(lane).set(view.oldest_s or 0.0)
    instruments.LANE_WORKERS.labels(lane).set(view.workers)
    instruments.LANE_SLOTS.labels(lane).set(view.slots)
    instruments.LANE_BUSY.labels(lane).set(view.busy)
