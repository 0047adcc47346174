"""Read a stream of outcomes as one consumer of a group: each is given to one of them until it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import BLOCK_MS, TRANSIENT, pairs_of, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.bus.tasks import end

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.schemas import Kind

logger = logging.getLogger(__name__)

_COUNT = 64
_KEEP_S = 7 * 24 * 3600
"""How long unread outcomes outlive the last visit of a consumer."""
_IDLE_CONSUMER_MS = 10 * 60_000
_TIDY_S = 5.0


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """An outcome in a stream; `data` is its JSON."""

    entry: bytes
    job_id: str
    data: bytes


class ResultsReader:
    """Holds what it was given until it is acknowledged, as long as it lives.

    `async with` owns the task that renews what is held and trims what every group has finished with; leaving gives
    back at once what was not acknowledged.
    """

    def __init__(
        self,
        servers: Servers,
        scripts: Scripts,
        kind: Kind,
        name: str,
        *,
        group: str,
        consumer: str,
        lease: timedelta,
    ) -> None:
        """`consumer` is a name that nobody else uses at the same time."""
        keys = LaneKeys(kind)
        self._stream = keys.replies(name)
        self._cancelled = keys.cancelled
        self._line = servers.line(self._stream)
        self._scripts = scripts
        self._group = group
        self._consumer = consumer
        self._lease_s = lease.total_seconds()
        self._joined = False
        self._own: bytes | None = b"0-0"
        self._claimed_s = float("-inf")
        self._held: set[bytes] = set()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ResultsReader:
        self._keeper = asyncio.create_task(self._keep(), name="results-keeper")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            await end([self._keeper])
        try:
            await self._tidy()
            await self._scripts.run("part", (self._stream,), self._group, self._consumer)
        except (RedisError, OSError) as error:
            logger.warning("results will be given to a peer only later", extra={"cause": type(error).__name__})
        await self._line.close()

    @property
    def held(self) -> int:
        """Entries that were given and not acknowledged."""
        return len(self._held)

    async def read(self) -> list[ResultEntry]:
        """Return what is there; waits up to two seconds for something. Raises `Unavailable`.

        First what this consumer held before it was started again, then what dead consumers held, then what is new.
        """
        try:
            if not self._joined:
                await self._scripts.run("join", (self._stream,), self._group, _KEEP_S)
                self._joined = True
            if self._own is not None:
                return await self._read_own(self._own)
            if time.monotonic() - self._claimed_s >= self._lease_s / 4:
                self._claimed_s = time.monotonic()
                if claimed := await self._claim():
                    return claimed
            return self._take(await self._read(">", "BLOCK", BLOCK_MS))
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise unavailable(error) from error
            # The stream has expired or the server has lost it.
            self._joined = False
            return []
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def done(self, entries: Iterable[ResultEntry]) -> None:
        """Acknowledge: nobody is given these again. Raises `Unavailable`."""
        ids = [each.entry for each in entries]
        if not ids:
            return
        try:
            await self._scripts.outbox.call("XACK", self._stream, self._group, *ids)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        self._held.difference_update(ids)

    async def _read(self, start: str | bytes, *options: str | int) -> Sequence[Any]:
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", _COUNT, *options)
        (reply,) = await self._line.exchange([(*command, "STREAMS", self._stream, start)])
        if isinstance(reply, ResponseError):
            raise reply
        streams = list(reply.items() if isinstance(reply, dict) else reply or ())
        return streams[0][1] if streams else ()

    async def _read_own(self, after: bytes) -> list[ResultEntry]:
        rows = await self._read(after)
        self._own = rows[-1][0] if rows else None
        return self._take(rows)

    async def _claim(self) -> list[ResultEntry]:
        """Take over what has not been renewed for a lease."""
        cursor, idle_ms = b"0-0", int(self._lease_s * 1000)
        while True:
            cursor, rows, *_ = await self._scripts.outbox.call(
                "XAUTOCLAIM", self._stream, self._group, self._consumer, idle_ms, cursor, "COUNT", _COUNT
            )
            # What is held here already is being worked on, however long this process was asleep.
            found = self._take([row for row in rows if row and row[0] not in self._held])
            if found or cursor == b"0-0":
                return found

    def _take(self, rows: Iterable[Any]) -> list[ResultEntry]:
        found, foreign = [], []
        for entry, flat in rows:
            fields = flat if isinstance(flat, dict) else pairs_of(flat or ())
            if b"id" in fields and b"data" in fields:
                found.append(ResultEntry(entry, fields[b"id"].decode(errors="replace"), fields[b"data"]))
            else:
                foreign.append(entry)
        if foreign:
            self._scripts.outbox.send("XACK", self._stream, self._group, *foreign)
        self._held.update(each.entry for each in found)
        return found

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(min(self._lease_s / 4, _TIDY_S))
            try:
                await self._renew()
                await self._tidy()
            except (*TRANSIENT, ResponseError) as error:
                logger.warning("results cannot be held", extra={"cause": type(error).__name__})

    async def _renew(self) -> None:
        held = list(self._held)
        if not held:
            return
        args: list[str | bytes | int] = []
        for entry in held:
            args += [1, entry, ""]
        keys = (self._stream, self._stream, self._stream, self._cancelled)
        lost, _ = await self._scripts.run("renew", keys, self._group, self._consumer, *args)
        for place in lost:
            if held[place] not in self._held:
                continue
            logger.warning("a result went to a peer", extra={"entry": held[place].decode()})
            self._held.discard(held[place])

    async def _tidy(self) -> None:
        await self._scripts.run("trim", (self._stream,), _KEEP_S, _IDLE_CONSUMER_MS)
