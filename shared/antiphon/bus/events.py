"""Read what is announced on the event streams, as one consumer of a group."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import BLOCK_MS, pairs_of, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.bus.line import Line
from antiphon.schemas import JobEvent, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from redis.asyncio import Redis

    from antiphon.bus.connection import Entries
    from antiphon.bus.outbox import Outbox

logger = logging.getLogger(__name__)

_COUNT = 64


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event and where it stands."""

    kind: Kind
    entry: bytes
    event: JobEvent


class EventReader:
    """Gives each announcement to one consumer of the group, and again to another when that one dies."""

    def __init__(
        self, redis: Redis, outbox: Outbox, *, group: str, consumer: str, kinds: Sequence[Kind], lease: timedelta
    ) -> None:
        self._redis = redis
        self._outbox = outbox
        self._line = Line(redis)
        self._group = group
        self._consumer = consumer
        self._streams = {LaneKeys(kind).events.encode(): kind for kind in kinds}
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
            names = list(self._streams)
            reply = await self._line.read(
                "XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", _COUNT, "BLOCK", BLOCK_MS,
                "STREAMS", *names, *(">" for _ in names),
            )  # fmt: skip
            for stream, entries in reply:
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
        """Stop reading. What was not acknowledged goes to a peer when its lease ends."""
        await self._line.close()

    async def _create_groups(self) -> None:
        for stream in self._streams:
            try:
                await self._redis.xgroup_create(stream, self._group, id="0", mkstream=True)
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
