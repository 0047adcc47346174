"""What a worker reads: new jobs into free slots, the more urgent first, and never all slots for batch work."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from antiphon.bus.connection import BLOCK_MS, pairs_of
from antiphon.bus.deliveries import Delivery
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.line import Line, entries_of
from antiphon.bus.tasks import end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from antiphon.bus.attempts import Held
    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.telemetry.health import Pulse

_BULK = 2
"""Index of the least urgent stream."""

_BULK_FIRST_EVERY = 10
"""Every so many reads start from the least urgent stream, so that none starves."""

_SOON_S = 0.002
"""Within which a slot of a small job is likely to be free again."""


class Intake:
    """Reads only into free slots, which somebody frees by setting `freed`."""

    def __init__(
        self,
        *,
        servers: Servers,
        scripts: Scripts,
        keys: LaneKeys,
        consumer: str,
        slots: int,
        held: Held,
        begin: Callable[[Delivery], None],
        release: Callable[[Sequence[Delivery]], Awaitable[None]],
        pulse: Pulse,
    ) -> None:
        self.taking = asyncio.Lock()
        """Who fills slots, one at a time: what dead peers held comes another way."""
        self.freed = asyncio.Event()
        self._scripts = scripts
        self._keys = keys
        self._consumer = consumer
        self._slots = slots
        self._held = held
        self._begin = begin
        self._release = release
        self._pulse = pulse
        self._most_bulk = slots - max(1, slots // 4) if slots > 1 else 1
        self._line, self._second_line = (servers.line(keys.control) for _ in range(2))
        self._beside: asyncio.Task[bool] | None = None
        self._cut_off = False

    async def read(self) -> None:
        """Read until cancelled. Raises `redis.RedisError` or `OSError`; it may be called again."""
        if self._cut_off:
            await self.recall()
            self._cut_off = False
        try:
            await self._read()
        except (RedisError, OSError):
            self._cut_off = True
            raise

    async def recall(self) -> None:
        """Take up what was given to a read whose reply has never come: peers would only do so when its lease ends."""
        # What it is given from now on would be begun twice.
        await self._end_beside()
        async with self.taking:
            known = [part for lane, entry in self._held for part in (lane + 1, entry)]
            most = 2 * self._slots + len(self._keys.streams)
            taken = await self._scripts.run("recall", self._keys.streams, GROUP, self._consumer, most, *known)
            surplus: list[Delivery] = []
            for lane, entry, flat, deliveries in taken:
                self._begin_or_spare(Delivery(lane - 1, entry, pairs_of(flat), deliveries), surplus)
        if surplus:
            await self._release(surplus)

    async def _read(self) -> None:
        rounds = 0
        more = True  # may wait on the lane: then the more urgent streams go first, which a blocking read cannot do
        while True:
            if len(self._held) >= self._slots:
                self.freed.clear()
                # A job may take hours.
                self._pulse.rest()
                await self.freed.wait()
                more = True
                continue
            self._pulse.turn()
            if more:
                rounds += 1
                more = await self._take("321" if rounds % _BULK_FIRST_EVERY == 0 else "123")
            elif self.bulk_room() > 0:
                more = await self._wait(self._line, self._keys.streams)
            else:
                more = await self._wait_beside_bulk()

    def bulk_room(self) -> int:
        """Return how many more jobs of the least urgent stream may run: they leave some slots to those who wait."""
        return max(0, self._most_bulk - sum(lane == _BULK for lane, _ in self._held))

    async def close(self) -> None:
        """Stop reading. What was given to a read that is cut off is still held by this consumer."""
        await self._end_beside()
        await self._line.close()

    async def _end_beside(self) -> None:
        if self._beside is not None:
            await end([self._beside])
            self._beside = None
        await self._second_line.close()

    async def _take(self, order: str) -> bool:
        """Fill the free slots with what waits; tell whether more may wait."""
        async with self.taking:
            free = self._slots - len(self._held)
            if free <= 0:
                return True
            names = (*self._keys.streams, self._keys.cancelled)
            room = self.bulk_room()
            cancels, taken = await self._scripts.run("take", names, GROUP, self._consumer, free, order, room)
            for lane, entries in taken:
                for entry, flat in entries:
                    self._begin(Delivery(lane - 1, entry, pairs_of(flat), 1, cancels > 0))
            # With a slot to spare, nothing is left but what the least urgent stream has no room for.
            return sum(len(entries) for _, entries in taken) >= free

    async def _wait_beside_bulk(self) -> bool:
        """Wait for jobs of the other streams, or until a slot is free for the least urgent one."""
        self.freed.clear()
        # Small jobs free their slots sooner than a read is worth its while.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SOON_S):
                await self.freed.wait()
                return True
        # A read is not broken off when a slot is free, lest its jobs be lost for a lease: it goes on for the next time.
        if self._beside is None:
            self._beside = asyncio.create_task(self._wait(self._second_line, self._keys.streams[:_BULK]))
        freed = asyncio.create_task(self.freed.wait())
        try:
            await asyncio.wait({self._beside, freed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            freed.cancel()
        if not self._beside.done():
            return True
        read, self._beside = self._beside, None
        return await read or self.bulk_room() > 0

    async def _wait(self, line: Line, streams: Sequence[str]) -> bool:
        """Wait for jobs on an empty lane; tell whether more may have come than were read."""
        # COUNT is per stream.
        count = max((self._slots - len(self._held)) // len(streams), 1)
        group = ("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", count, "BLOCK", BLOCK_MS)
        # The second command runs when the first one has ended, and saves a question about each job.
        reply, cancels = await line.exchange(
            [(*group, "STREAMS", *streams, *(">" for _ in streams)), ("ZCARD", self._keys.cancelled)]
        )
        more = False
        surplus: list[Delivery] = []
        for stream, entries in entries_of(reply):
            more = more or len(entries) >= count
            for entry, fields in entries:
                delivery = Delivery(self._keys.streams.index(stream.decode()), entry, fields, 1, cancels != 0)
                # Three may come where one slot is free.
                self._begin_or_spare(delivery, surplus)
        if surplus:
            await self._release(surplus)
        return more

    def _begin_or_spare(self, delivery: Delivery, surplus: list[Delivery]) -> None:
        """Begin a job if there is a slot for it, else add it to what is handed back."""
        if len(self._held) < self._slots and (delivery.lane != _BULK or self.bulk_room() > 0):
            self._begin(delivery)
        else:
            surplus.append(delivery)
