"""One blocking read for all live sessions of a process."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import BLOCK_MS, TRANSIENT, unavailable
from antiphon.bus.insisting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from antiphon.bus.outbox import Outbox
    from antiphon.bus.servers import Servers
    from antiphon.telemetry.health import Pulse

logger = logging.getLogger(__name__)

EntryT = TypeVar("EntryT")

_COUNT = 64
"""Entries of one session in one read."""

_MOST_ENTRIES = 128
_MOST_BYTES = 1024 * 1024
"""Held for a slow consumer; the rest waits in Redis."""

_PAUSE_PER_STREAM_S = 0.001
"""A read costs as much as it names streams, so the more there are, the more is to come with each."""

_WAKE_TTL_S = 3600


class Channel(Generic[EntryT]):
    """The entries of one stream on their way to the one task that reads them."""

    __slots__ = ("_entries", "_failure", "_reader", "_size", "_waiter", "key", "last")

    def __init__(self, reader: SessionReader[EntryT], key: bytes, after: bytes) -> None:
        self.key = key
        self.last = after
        self._reader = reader
        self._entries: list[EntryT] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Exception | None = None

    @property
    def full(self) -> bool:
        """Tell whether to stop reading ahead."""
        return self._size >= _MOST_BYTES or len(self._entries) >= _MOST_ENTRIES

    @property
    def empty(self) -> bool:
        """Tell whether all that was read has been taken."""
        return not self._entries

    async def take(self) -> list[EntryT]:
        """Wait for entries and return all there are. Raises what the channel failed with."""
        while not self._entries:
            if self._failure is not None:
                raise self._failure
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        was_full = self.full
        taken, self._entries, self._size = self._entries, [], 0
        if was_full:
            self._reader.take_up()
        return taken

    def bring(self, entry: EntryT, size: int) -> None:
        """Add an entry. Call `ring` after the last one."""
        self._entries.append(entry)
        self._size += size

    def ring(self) -> None:
        """Let the waiting task look."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, error: Exception | None) -> None:
        """Tell who has read all that there is, and who waits; None takes it back."""
        self._failure = error
        if error is not None:
            self.ring()


class SessionReader(Generic[EntryT]):
    """Reads many streams with one command at a time, each as far as its consumer follows."""

    def __init__(
        self,
        servers: Servers,
        outbox: Outbox,
        *,
        wake: str,
        decode: Callable[[bytes, Sequence[bytes]], EntryT | None],
        tend: Callable[[], Awaitable[None]],
        tend_every_s: float,
        longest_pause_s: float,
        pulse: Pulse,
    ) -> None:
        """`wake` is a stream of this reader's own; `tend` is run now and then while the server is there."""
        self._line = servers.line(wake)
        self._outbox = outbox
        self._wake = wake.encode()
        self._heard = b"0-0"
        block_ms = min(BLOCK_MS, int(tend_every_s * 500))
        self._command = ("XREAD", "COUNT", _COUNT, "BLOCK", block_ms, "STREAMS")
        self._decode = decode
        self._tend = tend
        self._tend_every_s = tend_every_s
        self._longest_pause_s = longest_pause_s
        self._pulse = pulse
        self._channels: dict[bytes, Channel[EntryT]] = {}
        self._wanted: dict[bytes, Channel[EntryT]] | None = None
        self._failed = False

    def follow(self, key: str, after: bytes) -> Channel[EntryT]:
        """Read a stream behind an entry; whoever has read it so far does no longer."""
        channel = Channel(self, key.encode(), after)
        self._channels[channel.key] = channel
        self.take_up()
        return channel

    def unfollow(self, channel: Channel[EntryT]) -> None:
        """Read a stream no longer."""
        if self._channels.get(channel.key) is channel:
            del self._channels[channel.key]
            self._wanted = None

    def take_up(self) -> None:
        """Make the blocked read name the streams that are wanted now, by a message to itself."""
        self._wanted = None
        self._outbox.send("XADD", self._wake, "MAXLEN", "~", 100, "*", "wake", 1)
        self._outbox.send("EXPIRE", self._wake, _WAKE_TTL_S)

    async def run(self) -> None:
        """Read until cancelled; go on behind the last entry when the server comes back."""
        pause_s = 0.02
        reached_s = tended_s = time.monotonic()
        while True:
            self._pulse.turn()
            try:
                await self._step()
                reached_s = time.monotonic()
                pause_s = 0.02
                if self._failed:
                    self._fail(None)
                if reached_s - tended_s >= self._tend_every_s:
                    await self._tend()
                    tended_s = time.monotonic()
            except (*TRANSIENT, ResponseError) as error:
                self._outbox.absence.note(error)
                if time.monotonic() - reached_s > PATIENCE_S:
                    self._fail(unavailable(error))
                await asyncio.sleep(pause_s * (0.5 + random.random()))  # noqa: S311
                pause_s = min(pause_s * 2, 0.5)
            except Exception:
                # What nobody should have written to one stream must not silence all others.
                logger.exception("an entry cannot be read")
                await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Delete the stream of messages to itself."""
        self._pulse.rest()
        try:
            await self._outbox.call("UNLINK", self._wake)
        except (RedisError, OSError):
            logger.warning("a stream could not be deleted; it will expire")
        await self._line.close()

    async def _step(self) -> None:
        channels = self._channels
        if channels:
            await asyncio.sleep(min(len(channels) * _PAUSE_PER_STREAM_S, self._longest_pause_s))
        if self._wanted is None:
            self._wanted = {key: channel for key, channel in channels.items() if not channel.full}
        wanted = self._wanted
        after = [channel.last for channel in wanted.values()]
        (reply,) = await self._line.exchange([(*self._command, self._wake, *wanted, self._heard, *after)])
        if isinstance(reply, ResponseError):
            raise reply
        for key, entries in reply.items() if isinstance(reply, dict) else reply or ():
            if key == self._wake:
                self._heard = entries[-1][0]
            elif (found := wanted[key]) is channels.get(key):
                # Not one that has come in its place meanwhile: that begins elsewhere.
                for entry, fields in entries:
                    found.last = entry
                    if fields and (decoded := self._decode(entry, fields)) is not None:
                        found.bring(decoded, sum(map(len, fields)))
                if found.full:
                    self._wanted = None
                found.ring()

    def _fail(self, error: Exception | None) -> None:
        self._failed = error is not None
        for channel in self._channels.values():
            channel.fail(error)
