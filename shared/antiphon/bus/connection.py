"""What all connections to Redis or Valkey have in common: limits, errors, the shapes of replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from antiphon.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.bus.outbox import Outbox

BLOCK_MS = 2_000
"""How long a read waits on the server; well under the socket timeout, which tells a dead peer from a quiet lane."""

TRANSIENT = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    BusyLoadingError,
    ClusterDownError,
    # A slot that has moved, or is moving, for longer than was waited; a `MovedError` is one.
    AskError,
    TryAgainError,
    OSError,
)
"""The server is away, starting or failing over: the same command may succeed a moment later."""


def unavailable(error: Exception) -> Unavailable:
    """Return what a caller is told when the bus cannot be used."""
    if isinstance(error, OutOfMemoryError):
        return Unavailable("The job store is full. Please try again later.", retry_after_s=10.0)
    if isinstance(error, RedisError | OSError):
        return Unavailable("The job store cannot be reached. Please try again shortly.", retry_after_s=2.0)
    raise error


Entries = list[tuple[bytes, dict[bytes, bytes]]]
"""Entries of a stream with their fields."""


async def newest_id(outbox: Outbox, stream: str) -> bytes:
    """Return the id of the last entry, `0-0` for an empty stream."""
    reply: Any = await outbox.call("XREVRANGE", stream, "+", "-", "COUNT", 1)
    newest: bytes = reply[0][0] if reply else b"0-0"
    return newest


def pairs_of(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return fields that a script gives one after the other as a mapping."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def hash_of(reply: Any) -> dict[bytes, bytes]:
    """Return what HGETALL replied, a mapping under RESP3 and a list under RESP2."""
    return dict(reply) if isinstance(reply, dict) else pairs_of(reply)


def rows_of(reply: Any) -> list[dict[str, Any]]:
    """Return what XINFO replied, rows of names and values: mappings under RESP3 and lists under RESP2."""
    rows = (row.items() if isinstance(row, dict) else zip(row[::2], row[1::2], strict=True) for row in reply)
    return [{name.decode(): value for name, value in row} for row in rows]


def scored_of(reply: Any) -> list[tuple[bytes, float]]:
    """Return members with scores, which come in pairs under RESP3 and one after the other under RESP2."""
    pairs = reply if reply and isinstance(reply[0], list | tuple) else zip(reply[::2], reply[1::2], strict=True)
    return [(member, float(score)) for member, score in pairs]


def memory_of(reports: Sequence[bytes]) -> tuple[int, int]:
    """Return the bytes that servers use together, and their limit; 0 when one of them has none.

    Each report is what `INFO memory` replied.
    """
    used = [int(facts[b"used_memory"]) for facts in map(_facts_of, reports)]
    limits = [int(facts[b"maxmemory"]) for facts in map(_facts_of, reports)]
    return sum(used), sum(limits) if all(limits) else 0


def _facts_of(report: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in report.splitlines())
    return {name: value for name, colon, value in lines if colon}
