"""What a worker does besides its jobs: renew leases, take over from dead peers, tend the lane, report, listen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING

import orjson

from antiphon.bus.attempts import Held
from antiphon.bus.connection import BLOCK_MS, TRANSIENT, newest_id, pairs_of
from antiphon.bus.deliveries import Delivery, Pace
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.work import LeaseLost, cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.bus.clock import ServerClock
    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.settings import BusSettings

logger = logging.getLogger(__name__)

_TEND_S = 0.5
_BEAT_S = 2.0
_BEAT_TTL_S = 30
_ATTENDED_S = 60
_IDLE_CONSUMER_MS = 10 * 60_000
_EVENT_MS = 3 * 24 * 3600_000
"""How long an event waits for a consumer group that does not read."""
_UNREAD_EVENTS = 10_000
"""Events that are kept where nobody reads them in a group."""


class Keeper:
    """The loops beside the reading one. Each method is one round; the subscriber repeats it."""

    def __init__(
        self,
        *,
        servers: Servers,
        scripts: Scripts,
        keys: LaneKeys,
        settings: BusSettings,
        consumer: str,
        slots: int,
        held: Held,
        pace: Pace,
        taking: asyncio.Lock,
        begin: Callable[[Delivery], None],
        clock: ServerClock,
        bulk_room: Callable[[], int],
    ) -> None:
        self.line = servers.line(keys.control)
        self._scripts = scripts
        self._keys = keys
        self._settings = settings
        self._consumer = consumer
        self._slots = slots
        self._held = held
        self.pace = pace
        self._taking = taking
        self._begin = begin
        self._clock = clock
        self._bulk_room = bulk_room
        self._reclaim_now = asyncio.Event()
        # At once at first: nobody tells a new worker what was handed back before it came.
        self._reclaim_now.set()
        self._cursors = ["0-0", "0-0", "0-0"]
        self._owed = False
        self._away_since_s: float | None = None
        self._heard: bytes | None = None

    async def renew(self) -> None:
        """Renew every lease once a quarter of its length; stop what was lost or cancelled."""
        await asyncio.sleep(self._settings.lease.total_seconds() / 4)
        jobs = list(self._held.items())
        if not jobs:
            return
        args: list[str | bytes | int] = []
        for (lane, entry), job in jobs:
            args += [lane + 1, entry, job.job_id]
        keys = (*self._keys.streams, self._keys.cancelled)
        lost, stopped = await self._scripts.run("renew", keys, GROUP, self._consumer, *args)
        for place, (_, job) in enumerate(jobs):
            # One that has just been settled is not ours any more either; whose it was the settlement has told.
            settling = job.work is not None and job.work.settling
            if place in lost and not settling and not job.task.done():
                logger.warning("a lease was lost", extra={"lane": self._keys.kind, "job": job.job_id})
                job.stop(LeaseLost("a peer has taken the job over"))
            elif place in stopped:
                job.stop(cancelled())

    async def reclaim(self) -> None:
        """Take over what dead peers held; at once when somebody hands back."""
        lease_s = self._settings.lease.total_seconds()
        with contextlib.suppress(TimeoutError):
            # Not wait_for: it may swallow a cancellation that comes together with the event.
            async with asyncio.timeout(lease_s / 4 * (0.75 + random.random() / 2)):  # noqa: S311
                await self._reclaim_now.wait()
        self._reclaim_now.clear()
        await self._let_the_living_renew(lease_s)
        async with self._taking:
            free = self._slots - len(self._held)
            if free <= 0:
                self._owed = True
                return
            lease_ms = int(lease_s * 1000)
            room = self._bulk_room()
            try:
                cursors, taken = await self._scripts.run(
                    "reclaim", self._keys.streams, GROUP, self._consumer, lease_ms, free, *self._cursors, room
                )
            except TRANSIENT:
                self._away_since_s = self._away_since_s or time.monotonic()
                raise
            self._cursors = [cursor.decode() for cursor in cursors]
            for lane, entry, flat, deliveries in taken:
                self._begin(Delivery(lane - 1, entry, pairs_of(flat), deliveries))

    async def _let_the_living_renew(self, lease_s: float) -> None:
        """Wait when the server is back after an absence in which leases have run out though their holders live."""
        if self._away_since_s is not None:
            await self._scripts.outbox.call_at(self._keys.workers, "PING")
            if time.monotonic() - self._away_since_s > lease_s / 2:
                await asyncio.sleep(lease_s / 2)
            self._away_since_s = None

    def free_slot(self) -> None:
        """Note that a job has ended: what could not be taken over before, for want of a slot, is looked for now."""
        if self._owed:
            self._owed = False
            self._reclaim_now.set()

    async def tend(self) -> None:
        """Promote due jobs, trim, forget; one worker of the lane does it at a time."""
        await asyncio.sleep(_TEND_S * (0.75 + random.random() / 2))  # noqa: S311
        keys = self._keys
        names = (*keys.streams, keys.delayed, keys.cancelled, keys.workers, keys.tended, keys.events)
        pause_ms, age_ms = int(_TEND_S * 800), int(5 * _BEAT_S * 1000)
        limits = (pause_ms, _IDLE_CONSUMER_MS, age_ms, _EVENT_MS, _UNREAD_EVENTS)
        await self._scripts.run("tend", names, *limits)

    async def report(self) -> None:
        """Report to the lane, again and again."""
        await asyncio.sleep(_BEAT_S)
        await self.beat()

    async def beat(self) -> None:
        """Report once that this worker lives and how fast it is."""
        report = orjson.dumps(
            {
                "slots": self._slots,
                "busy": len(self._held),
                "rate": round(self.pace.measure(time.monotonic()), 3),
            }
        )
        keys = (self._keys.workers, self._keys.attended)
        asked_at_s = time.time()
        server_ms = await self._scripts.run("beat", keys, self._consumer, report, _BEAT_TTL_S, _ATTENDED_S)
        self._clock.learn(server_ms, asked_at_s=asked_at_s, answered_at_s=time.time())

    async def listen(self) -> None:
        """Follow the control stream: what is missed while the server is away, renewal and reclaim find out later."""
        if self._heard is None:
            self._heard = await newest_id(self._scripts.outbox, self._keys.control)
        for _, entries in await self.line.read("XREAD", "BLOCK", BLOCK_MS, "STREAMS", self._keys.control, self._heard):
            for entry, fields in entries:
                self._heard = entry
                if b"released" in fields:
                    self._reclaim_now.set()
                if b"cancel" in fields:
                    self._cancel(fields[b"cancel"].decode())

    def _cancel(self, job_id: str) -> None:
        for job in self._held.values():
            if job.job_id == job_id:
                job.stop(cancelled())
