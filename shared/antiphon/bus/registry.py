"""Small state that services keep: named things of an owner, short histories, secrets that all processes share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from antiphon.bus.connection import hash_of, pairs_of, unavailable
from antiphon.errors import InvalidValue

if TYPE_CHECKING:
    from datetime import timedelta

    from antiphon.bus.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Registry:
    """Byte strings by owner and id, kept until they are dropped. Every method raises `Unavailable`."""

    outbox: Outbox
    name: str

    async def put(self, owner: str, entry_id: str, data: bytes, *, limit: int | None = None) -> None:
        """Keep or replace an entry. Raises `InvalidValue` when it would be one more than `limit`."""
        key = self._key(owner)
        try:
            if limit is not None and not await self.outbox.call("HEXISTS", key, entry_id):
                count: int = await self.outbox.call("HLEN", key)
                if count >= limit:
                    raise InvalidValue(f"There are {count} {self.name} already, as many as are allowed.")
            await self.outbox.call("HSET", key, entry_id, data)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    def note(self, owner: str, entry_id: str, data: bytes) -> None:
        """Keep or replace an entry that may as well get lost, without waiting for it."""
        self.outbox.send("HSET", self._key(owner), entry_id, data)

    async def get(self, owner: str, entry_id: str) -> bytes | None:
        """Return an entry."""
        try:
            found: bytes | None = await self.outbox.call("HGET", self._key(owner), entry_id)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return found

    async def all(self, owner: str) -> dict[str, bytes]:
        """Return all entries of an owner by id."""
        try:
            entries = hash_of(await self.outbox.call("HGETALL", self._key(owner)))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return {entry_id.decode(): data for entry_id, data in entries.items()}

    async def drop(self, owner: str, entry_id: str) -> bool:
        """Forget an entry; tell whether there was one."""
        try:
            return bool(await self.outbox.call("HDEL", self._key(owner), entry_id))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    def _key(self, owner: str) -> str:
        return f"registry:{self.name}:{owner}"


@dataclass(frozen=True, slots=True)
class Journal:
    """The latest things that happened to an owner, each a mapping of fields. Every method raises `Unavailable`."""

    outbox: Outbox
    name: str
    ttl: timedelta
    """After the last entry."""
    cap: int
    """Entries kept, about."""

    async def append(self, owner: str, fields: dict[str, bytes]) -> None:
        """Add an entry."""
        key = self._key(owner)
        flat = [part for pair in fields.items() for part in pair]
        try:
            added = self.outbox.call("XADD", key, "MAXLEN", "~", self.cap, "*", *flat)
            self.outbox.send("EXPIRE", key, int(self.ttl.total_seconds()))
            await added
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def page(self, owner: str, *, before: str | None = None, limit: int) -> list[tuple[str, dict[bytes, bytes]]]:
        """Return up to `limit` entries with their ids, the newest first; `before` is an id."""
        start = f"({before}" if before else "+"
        try:
            rows = await self.outbox.call("XREVRANGE", self._key(owner), start, "-", "COUNT", limit)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return [(entry.decode(), fields if isinstance(fields, dict) else pairs_of(fields)) for entry, fields in rows]

    async def drop(self, owner: str) -> None:
        """Forget all entries of an owner."""
        try:
            await self.outbox.call("UNLINK", self._key(owner))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    def _key(self, owner: str) -> str:
        return f"journal:{self.name}:{owner}"


async def shared_secret(outbox: Outbox, name: str) -> bytes:
    """Return 32 random bytes, made once and the same for all processes. Raises `Unavailable`."""
    key = f"secret:{name}"
    try:
        await outbox.call("SET", key, secrets.token_bytes(32), "NX")
        found: bytes = await outbox.call("GET", key)
    except (RedisError, OSError) as error:
        raise unavailable(error) from error
    return found
