"""Follow one job from outside: its output as it grows, or how far it is, and how it ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from antiphon.bus.connection import BLOCK_MS, TRANSIENT, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.errors import NotFound
from antiphon.schemas import EventKind, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from antiphon.bus.outbox import Outbox
    from antiphon.bus.servers import Servers

_COUNT = 64
_LOOK_S = 1.0
_PATIENCE_S = 15.0
"""How long a server may be away before who follows is told."""


@dataclass(frozen=True, slots=True)
class FollowedEvent:
    """An entry of a job's output, or its progress or outcome read elsewhere; `entry` is empty then."""

    entry: str
    kind: EventKind
    data: bytes


class Following:
    """Reads for one follower, over a connection of its own when the job is streamed."""

    def __init__(self, servers: Servers, outbox: Outbox, kind: Kind, job_id: str, *, after: str) -> None:
        self._keys = LaneKeys(kind)
        self._job_id = job_id
        self._outbox = outbox
        self._line = servers.line(self._keys.control)
        self._last = after
        self._progress: bytes | None = None
        self._tracked = False

    async def events(self, *, streamed: bool, idle_s: float) -> AsyncIterator[FollowedEvent | None]:
        """Yield events until the outcome, and None after each `idle_s` of silence.

        Raises `NotFound` when a tracked job is deleted, `Unavailable` when the bus stays away.
        """
        quiet_since = reached = time.monotonic()
        try:
            while True:
                try:
                    self._tracked = self._tracked or bool(
                        await self._outbox.call("EXISTS", self._keys.record(self._job_id))
                    )
                    found = await (self._read(idle_s) if streamed else self._look())
                    if streamed and not found:
                        found = await self._end()
                    reached = time.monotonic()
                except TRANSIENT as error:
                    if time.monotonic() - reached > _PATIENCE_S:
                        raise unavailable(error) from error
                    await asyncio.sleep(0.2)
                    found = []
                except RedisError as error:
                    raise unavailable(error) from error
                for event in found:
                    quiet_since = time.monotonic()
                    yield event
                    if event.kind == "outcome":
                        return
                if time.monotonic() - quiet_since >= idle_s:
                    quiet_since = time.monotonic()
                    yield None
        finally:
            await self._line.close()

    async def _read(self, idle_s: float) -> list[FollowedEvent]:
        """Wait a while for more output."""
        block_ms = max(1, min(BLOCK_MS, int(idle_s * 1000)))
        output = self._keys.output(self._job_id)
        reply = await self._line.read("XREAD", "COUNT", _COUNT, "BLOCK", block_ms, "STREAMS", output, self._last)
        found = []
        for _, entries in reply:
            for entry, fields in entries:
                self._last = entry.decode()
                if b"kind" in fields:
                    kind: EventKind = fields[b"kind"].decode()  # type: ignore[assignment]
                    found.append(FollowedEvent(self._last, kind, fields.get(b"data", b"")))
        return found

    async def _look(self) -> list[FollowedEvent]:
        """See whether the job has ended or its record tells of progress, else wait a while."""
        end = await self._end()
        if end:
            return end
        progress: bytes | None = await self._outbox.call("HGET", self._keys.record(self._job_id), "progress")
        if progress is None or progress == self._progress:
            await asyncio.sleep(_LOOK_S)
            return []
        self._progress = progress
        return [FollowedEvent("", "progress", progress)]

    async def _end(self) -> list[FollowedEvent]:
        """Return the outcome when the job has ended and nothing is left to be read."""
        result: bytes | None = await self._outbox.call("GET", self._keys.result(self._job_id))
        if result is None:
            if self._tracked and not await self._outbox.call("EXISTS", self._keys.record(self._job_id)):
                raise NotFound(f"There is no job '{self._job_id}' any more.")
            return []
        rest = await self._outbox.call("XRANGE", self._keys.output(self._job_id), f"({self._last}", "+", "COUNT", 1)
        return [] if rest else [FollowedEvent("", "outcome", result)]
