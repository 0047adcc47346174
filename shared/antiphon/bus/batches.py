"""Batches: many jobs with one parent, which counts them as they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from antiphon.bus.connection import hash_of, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.schemas import BatchRecord, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.bus.outbox import Outbox

_COUNTS = ("total", "completed", "failed", "cancelled", "expired", "updated_ms", "created_ms")


class Batches:
    """Makes, reads and deletes batches. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def create(self, record: BatchRecord, *, keep_s: int) -> None:
        """Keep a batch for `keep_s`. Its jobs are published after it."""
        keys = LaneKeys(record.kind)
        key, listing = keys.batch(record.id), keys.batches(record.tenant)
        fields: list[str | bytes | int] = ["tenant", record.tenant, "definition", orjson.dumps(record.definition)]
        fields += ["total", record.total, "created_ms", record.created_ms, "updated_ms", record.created_ms]
        try:
            made = self._outbox.call("HSET", key, *fields)
            self._outbox.send("EXPIRE", key, keep_s)
            self._outbox.send("ZADD", listing, record.created_ms, record.id)
            life_s: int = await self._outbox.call("TTL", listing)
            await made
            if life_s < keep_s:
                await self._outbox.call("EXPIRE", listing, keep_s)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def find(self, batch_id: str, *, tenant: str, kind: Kind = "transcribe") -> BatchRecord | None:
        """Return a tenant's batch."""
        (record,) = await self._read(kind, [batch_id])
        return record if record is not None and record.tenant == tenant else None

    async def page(self, tenant: str, *, kind: Kind = "transcribe", skip: int = 0, top: int) -> list[BatchRecord]:
        """Return up to `top` of a tenant's batches behind the first `skip`, the oldest first."""
        listing = LaneKeys(kind).batches(tenant)
        try:
            members: list[bytes] = await self._outbox.call("ZRANGE", listing, 0, -1)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        ids = [member.decode() for member in members]
        records = await self._read(kind, ids)
        if gone := [batch_id for batch_id, record in zip(ids, records, strict=True) if record is None]:
            self._outbox.send("ZREM", listing, *gone)
        return [record for record in records if record is not None][skip : skip + top]

    async def update(self, record: BatchRecord, definition: Mapping[str, Any], *, now_ms: int) -> None:
        """Replace what its owner asked for."""
        key = LaneKeys(record.kind).batch(record.id)
        try:
            if await self._outbox.call("EXISTS", key):
                await self._outbox.call("HSET", key, "definition", orjson.dumps(definition), "updated_ms", now_ms)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def drop(self, record: BatchRecord) -> None:
        """Delete a batch with the records and results of its jobs; cancel those that have not ended first."""
        keys = LaneKeys(record.kind)
        ids = [record.job_id(index) for index in range(record.total)]
        try:
            for start in range(0, len(ids), 100):
                some = ids[start : start + 100]
                self._outbox.send("UNLINK", *(keys.record(job_id) for job_id in some))
                self._outbox.send("UNLINK", *(keys.result(job_id) for job_id in some))
                self._outbox.send("ZREM", keys.listing(record.tenant), *some)
            self._outbox.send("UNLINK", keys.batch(record.id))
            await self._outbox.call("ZREM", keys.batches(record.tenant), record.id)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def _read(self, kind: Kind, ids: list[str]) -> list[BatchRecord | None]:
        replies = [self._outbox.call("HGETALL", LaneKeys(kind).batch(batch_id)) for batch_id in ids]
        try:
            return [_batch(kind, name, hash_of(await reply)) for name, reply in zip(ids, replies, strict=True)]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error


def _batch(kind: Kind, batch_id: str, fields: dict[bytes, bytes]) -> BatchRecord | None:
    if b"total" not in fields:
        return None
    counts = {name: int(fields.get(name.encode(), 0)) for name in _COUNTS}
    return BatchRecord.model_validate(
        {
            "id": batch_id,
            "kind": kind,
            "tenant": fields[b"tenant"].decode(),
            "definition": orjson.loads(fields[b"definition"]),
            "started": b"started" in fields,
            **counts,
        }
    )
