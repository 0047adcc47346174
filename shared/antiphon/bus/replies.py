"""Outcomes and output of jobs, back to who waits for them: one blocking reader per lane and process."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import BLOCK_MS, TRANSIENT
from antiphon.schemas import EventKind

if TYPE_CHECKING:
    from antiphon.bus.keys import LaneKeys
    from antiphon.bus.outbox import Outbox
    from antiphon.bus.servers import Servers
    from antiphon.telemetry.health import Pulse

logger = logging.getLogger(__name__)

_READ_AHEAD = 32
"""Events held for a slow reader; the rest waits in Redis."""

_TRIM_EVERY = 256


@dataclass(frozen=True, slots=True)
class OutputEvent:
    """An entry of a job's output stream; `seq` counts from 0."""

    kind: EventKind
    data: bytes
    seq: int


@dataclass(slots=True)
class Follower:
    """Somebody who reads the output of one job."""

    key: bytes
    last: bytes = b"0-0"
    events: deque[OutputEvent] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def full(self) -> bool:
        """Tell whether to stop reading ahead."""
        return len(self.events) >= _READ_AHEAD


class ReplyReader:
    """Reads the reply stream of this process on one lane, and the outputs that are followed."""

    def __init__(self, servers: Servers, outbox: Outbox, keys: LaneKeys, name: str, *, pulse: Pulse) -> None:
        self.name = name
        self._pulse = pulse
        self._line = servers.line(keys.control)
        self._outbox = outbox
        self._keys = keys
        self._stream = keys.replies(name).encode()
        self._last = b"0-0"
        self._read = 0
        self._waiting: dict[str, list[asyncio.Future[bytes]]] = {}
        self._followers: dict[bytes, Follower] = {}

    def expect(self, job_id: str) -> asyncio.Future[bytes]:
        """Return a future of the outcome's JSON. Call it before the job is published."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # A list, because the same job may be published and awaited twice.
        self._waiting.setdefault(job_id, []).append(future)
        return future

    def forget(self, job_id: str, future: asyncio.Future[bytes]) -> None:
        """Wait for a job no longer."""
        waiting = self._waiting.get(job_id, [])
        if future in waiting:
            waiting.remove(future)
        if not waiting:
            self._waiting.pop(job_id, None)

    def deliver(self, job_id: str, outcome: bytes) -> None:
        """Give an outcome to who waits for it."""
        for future in self._waiting.pop(job_id, []):
            if not future.done():
                future.set_result(outcome)

    def follow(self, job_id: str) -> Follower:
        """Read the output of a job from its beginning. Call `wake` after it."""
        follower = Follower(self._keys.output(job_id).encode())
        self._followers[follower.key] = follower
        return follower

    def resume(self, follower: Follower) -> None:
        """Read an output again that was not read to its end."""
        if follower.key not in self._followers:
            self._followers[follower.key] = follower
            self.wake()

    def unfollow(self, follower: Follower) -> None:
        """Read an output no longer."""
        if self._followers.get(follower.key) is follower:
            del self._followers[follower.key]

    def wake(self) -> None:
        """Make the blocked reader take up new followers, by a message to itself."""
        self._outbox.send("XADD", self._stream, "MAXLEN", "~", 10_000, "*", "wake", 1)
        self._outbox.send("EXPIRE", self._stream, 3600)

    async def run(self) -> None:
        """Read until cancelled; go on from the last entry when the server comes back."""
        pause = 0.05
        while True:
            self._pulse.turn()
            try:
                await self._step()
                pause = 0.05
            except (*TRANSIENT, ResponseError) as error:
                self._outbox.absence.note(error)
                await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
                pause = min(pause * 2, 1.0)
            except Exception:
                # An entry that nobody should have written must not end the answers to everybody.
                logger.exception("an entry cannot be read")

    async def close(self) -> None:
        """Delete the reply stream: nobody else reads it."""
        self._pulse.rest()
        try:
            await self._outbox.call("DEL", self._stream)
        except (RedisError, OSError):
            logger.warning("the reply stream could not be deleted; it will expire")
        await self._line.close()

    async def _step(self) -> None:
        asked = {key: follower for key, follower in self._followers.items() if not follower.full}
        names = [self._stream, *asked]
        ids = [self._last, *(follower.last for follower in asked.values())]
        reply = await self._line.read("XREAD", "COUNT", _READ_AHEAD, "BLOCK", BLOCK_MS, "STREAMS", *names, *ids)
        for stream, entries in reply:
            if stream == self._stream:
                self._answer(entries)
            elif (follower := asked[stream]) is self._followers.get(stream):
                # Not one that has come in its place meanwhile: that reads from the beginning.
                for entry, fields in entries:
                    follower.last = entry
                    if not fields.keys() >= {b"kind", b"data", b"seq"}:
                        continue
                    kind: EventKind = fields[b"kind"].decode()  # type: ignore[assignment]
                    follower.events.append(OutputEvent(kind, fields[b"data"], int(fields[b"seq"])))
                follower.arrived.set()

    def _answer(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        for entry, fields in entries:
            self._last = entry
            if b"id" in fields and b"data" in fields:
                self.deliver(fields[b"id"].decode(), fields[b"data"])
        self._read += len(entries)
        if self._read >= _TRIM_EVERY:
            self._read = 0
            self._outbox.send("XTRIM", self._stream, "MINID", self._last)
