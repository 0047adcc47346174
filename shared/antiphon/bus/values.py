"""Small values with a life span, for payloads that travel by reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from antiphon.bus.connection import unavailable

if TYPE_CHECKING:
    from datetime import timedelta

    from antiphon.bus.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Values:
    """Byte strings by key. Every method raises `Unavailable` when the bus is away or full."""

    outbox: Outbox

    async def put(self, key: str, data: bytes, ttl: timedelta) -> None:
        """Keep `data` for `ttl`."""
        try:
            await self.outbox.call("SET", key, data, "PX", int(ttl.total_seconds() * 1000))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def append(self, key: str, data: bytes, ttl: timedelta) -> None:
        """Lengthen what is kept by `data`, and keep the whole for `ttl` from now."""
        try:
            appended = self.outbox.call("APPEND", key, data)
            self.outbox.send("PEXPIRE", key, int(ttl.total_seconds() * 1000))
            await appended
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def get(self, key: str) -> bytes | None:
        """Return what is kept, if it still is."""
        try:
            found: bytes | None = await self.outbox.call("GET", key)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return found

    async def claim(self, key: str, ttl: timedelta) -> bool:
        """Take a mark that one holds at a time, until it is dropped or `ttl` is over; tell whether it was free."""
        try:
            taken: object = await self.outbox.call("SET", key, b"1", "NX", "PX", int(ttl.total_seconds() * 1000))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return taken is not None

    async def drop(self, key: str) -> None:
        """Forget a value."""
        try:
            await self.outbox.call("UNLINK", key)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
