"""Write the input of live sessions: in order and exactly once, also over the loss of a connection.

An outbox would send what comes next before it is known whether what went before has arrived. Here a round that may
or may not have arrived is sent again, and nothing else before it; entries carry ids of the writer's own, so that the
server takes each only once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.bus.connection import TRANSIENT
from antiphon.bus.insisting import PATIENCE_S
from antiphon.bus.keys import LaneKeys

if TYPE_CHECKING:
    from antiphon.bus.servers import Servers

logger = logging.getLogger(__name__)

_MOST_COMMANDS = 256
"""In one round trip; bounds the memory of a round."""

_PAUSE_PER_WRITER_S = 0.0005
"""How long a round waits for company, for each of those who write now and then."""

_SHARE = 4
"""A round does not wait any longer when one in so many of them has written."""


class Writer(Protocol):
    """Whoever has something written."""

    def written(self, size: int, reply: Any) -> None:
        """Take the server's reply to a command of so many bytes; an exception when there was none."""
        ...


class SessionWriter:
    """Sends commands that may be repeated, many to a round trip, strictly in order."""

    def __init__(self, servers: Servers, *, longest_pause_s: float) -> None:
        self.writers = 0
        """How many have something written now and then."""
        self._line = servers.line(LaneKeys("realtime").control)
        self._longest_pause_s = longest_pause_s
        self._waiting: list[tuple[bytes, Writer]] = []
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, packed: bytes, writer: Writer, *, urgent: bool) -> None:
        """Queue a command as it goes over the wire. What is not `urgent` may wait for company."""
        self._waiting.append((packed, writer))
        if urgent or len(self._waiting) * _SHARE >= self.writers:
            self._wake.set()
        elif len(self._waiting) == 1:
            # A timer costs as much as a round trip: there is none where the count alone decides in time.
            pause_s = min(self.writers * _PAUSE_PER_WRITER_S, self._longest_pause_s)
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._wake.set)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._timer is not None:
                self._timer.cancel()
            batch, self._waiting = self._waiting[:_MOST_COMMANDS], self._waiting[_MOST_COMMANDS:]
            if self._waiting:
                self._wake.set()
            if batch:
                replies = await self._send([packed for packed, _ in batch])
                for (packed, writer), reply in zip(batch, replies, strict=True):
                    writer.written(len(packed), reply)

    async def close(self) -> None:
        """Close the connection. What was still queued is lost."""
        await self._line.close()

    async def _send(self, packed: list[bytes]) -> list[Any]:
        end_s = time.monotonic() + PATIENCE_S
        pause_s = 0.02
        while True:
            try:
                replies = await self._line.exchange_packed(packed)
                error = next((reply for reply in replies if isinstance(reply, TRANSIENT)), None)
                if error is None:
                    return replies
            except TRANSIENT as away:
                error = away
            except Exception as failure:
                logger.exception("the input of live sessions cannot be written")
                return [failure] * len(packed)
            if time.monotonic() > end_s:
                return [error] * len(packed)
            await self._line.close()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.5)
