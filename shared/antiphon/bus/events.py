"""Read what is announced on the event streams, as one consumer of a group."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import BLOCK_MS, pairs_of, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.bus.tasks import end
from antiphon.schemas import JobEvent, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from antiphon.bus.connection import Entries
    from antiphon.bus.line import Line
    from antiphon.bus.outbox import Outbox
    from antiphon.bus.servers import Servers

logger = logging.getLogger(__name__)

_COUNT = 64
_MOST_HELD = 10_000
_AGES_MS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event and where it stands."""

    kind: Kind
    entry: bytes
    event: JobEvent


@dataclass(slots=True)
class _Part:
    """Streams that one command reads, over a line of its own."""

    line: Line
    names: Sequence[bytes]
    under_way: asyncio.Task[list[tuple[bytes, Entries]]] | None = None


class EventReader:
    """Gives each announcement to one consumer of the group, and again to another when that one dies."""

    def __init__(
        self, servers: Servers, outbox: Outbox, *, group: str, consumer: str, kinds: Sequence[Kind], lease: timedelta
    ) -> None:
        self._outbox = outbox
        self._group = group
        self._consumer = consumer
        self._streams = {LaneKeys(kind).events.encode(): kind for kind in kinds}
        # One read for all lanes, or for each server of a cluster: then they go on beside each other.
        self._parts = [_Part(servers.line(names[0]), names) for names in servers.together(list(self._streams))]
        self._lease_s = lease.total_seconds()
        self._claimed_s = 0.0
        self._cursors = dict.fromkeys(self._streams, b"0-0")
        self._grouped = False

    async def read(self) -> list[Announcement]:
        """Return what has been announced; waits up to two seconds for something. Raises `Unavailable`."""
        try:
            if not self._grouped:
                await self._create_groups()
            if time.monotonic() - self._claimed_s >= self._lease_s / 4:
                self._claimed_s = time.monotonic()
                if claimed := await self._claim():
                    return claimed
            found: list[Announcement] = []
            for stream, entries in await self._read_new():
                found += self._parse(stream, entries)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise unavailable(error) from error
            self._grouped = False
            return []
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return found

    async def done(self, announcements: Iterable[Announcement]) -> None:
        """Acknowledge: nobody is given these again. Raises `Unavailable`."""
        entries: dict[Kind, list[bytes]] = defaultdict(list)
        for each in announcements:
            entries[each.kind].append(each.entry)
        try:
            replies = [
                self._outbox.call("XACK", LaneKeys(kind).events, self._group, *ids) for kind, ids in entries.items()
            ]
            for reply in replies:
                await reply
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Stop reading. What is not acknowledged, even what a read that is cut off had, goes to a peer at once."""
        await end([part.under_way for part in self._parts if part.under_way is not None])
        for part in self._parts:
            await part.line.close()
        if self._grouped:
            for stream in self._streams:
                try:
                    await self._hand_back(stream)
                except (RedisError, OSError):
                    # It goes to a peer when its lease ends.
                    return

    async def _read_new(self) -> list[tuple[bytes, Entries]]:
        if len(self._parts) == 1:
            return await self._read(self._parts[0])
        for part in self._parts:
            if part.under_way is None:
                part.under_way = asyncio.create_task(self._read(part))
        reads = [part.under_way for part in self._parts if part.under_way is not None]
        await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        found: list[tuple[bytes, Entries]] = []
        failure: BaseException | None = None
        # A read is not cut off, lest its events be lost for a lease: it goes on for the next time.
        for part in self._parts:
            if part.under_way is not None and part.under_way.done():
                read, part.under_way = part.under_way, None
                failure = failure or read.exception()
                found += [] if read.exception() else read.result()
        if failure is not None and not found:
            raise failure
        return found

    async def _read(self, part: _Part) -> list[tuple[bytes, Entries]]:
        group = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", _COUNT, "BLOCK", BLOCK_MS)
        return await part.line.read(*group, "STREAMS", *part.names, *(">" for _ in part.names))

    async def _create_groups(self) -> None:
        for stream in self._streams:
            try:
                await self._outbox.call("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM")
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
        self._grouped = True

    async def _claim(self) -> list[Announcement]:
        """Take over what a dead consumer held."""
        found: list[Announcement] = []
        for stream in self._streams:
            lease_ms = int(self._lease_s * 1000)
            reply = await self._outbox.call(
                "XAUTOCLAIM", stream, self._group, self._consumer, lease_ms, self._cursors[stream], "COUNT", _COUNT
            )
            # From the beginning again when it has come to the end.
            self._cursors[stream] = reply[0]
            found += self._parse(
                stream,
                [
                    (entry, fields if isinstance(fields, dict) else pairs_of(fields))
                    for entry, fields in reply[1]
                    if fields
                ],
            )
        return found

    async def _hand_back(self, stream: bytes) -> None:
        """Make what this consumer holds look as if it had held it for ages."""
        held = await self._outbox.call("XPENDING", stream, self._group, "-", "+", _MOST_HELD, self._consumer)
        if held:
            entries = [entry for entry, *_ in held]
            claim = ("XCLAIM", stream, self._group, self._consumer, 0, *entries, "IDLE", _AGES_MS, "JUSTID")
            await self._outbox.call(*claim)

    def _parse(self, stream: bytes, entries: Entries) -> list[Announcement]:
        found = []
        for entry, fields in entries:
            try:
                event = JobEvent.model_validate_json(fields.get(b"data", b""))
            except ValidationError:
                logger.warning("an event cannot be read", extra={"stream": stream.decode(), "entry": entry.decode()})
                self._outbox.send("XACK", stream, self._group, entry)
                continue
            found.append(Announcement(self._streams[stream], entry, event))
        return found
