"""Which things an owner has: ids in their own order, for listings that hold nothing but what is there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from antiphon.bus.connection import unavailable

if TYPE_CHECKING:
    from datetime import timedelta

    from antiphon.bus.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Index:
    """Ids by owner, sorted by their bytes: where a page goes on is known from an id, even of one that was dropped.

    Every method raises `Unavailable`.
    """

    outbox: Outbox
    name: str
    ttl: timedelta
    """After the last addition."""
    cap: int
    """Ids of one owner; the first ones go first."""

    async def add(self, owner: str, entry_id: str) -> list[str]:
        """Add an id; return those that had to make room, whose things are to be deleted."""
        key = self._key(owner)
        try:
            added = self.outbox.call("ZADD", key, 0, entry_id)
            self.outbox.send("PEXPIRE", key, int(self.ttl.total_seconds() * 1000))
            first = self.outbox.call("ZRANGE", key, 0, -self.cap - 1)
            surplus: list[bytes] = (await asyncio.gather(added, first))[1]
            if surplus:
                # By name and not by rank: an addition by somebody else may come in between.
                await self.outbox.call("ZREM", key, *surplus)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return [member.decode() for member in surplus]

    async def has(self, owner: str, entry_id: str) -> bool:
        """Tell whether an id is there."""
        try:
            return await self.outbox.call("ZSCORE", self._key(owner), entry_id) is not None
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def drop(self, owner: str, *entry_ids: str) -> int:
        """Forget ids; tell how many of them were there."""
        if not entry_ids:
            return 0
        try:
            return int(await self.outbox.call("ZREM", self._key(owner), *entry_ids))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def page(self, owner: str, *, after: str | None = None, descending: bool = False, limit: int) -> list[str]:
        """Return up to `limit` ids behind `after`, which need not be there (any more)."""
        key, start = self._key(owner), None if after is None else f"({after}"
        ends = (start or "+", "-", "BYLEX", "REV") if descending else (start or "-", "+", "BYLEX")
        try:
            members: list[bytes] = await self.outbox.call("ZRANGE", key, *ends, "LIMIT", 0, limit)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return [member.decode() for member in members]

    def _key(self, owner: str) -> str:
        return f"index:{self.name}:{owner}"
