"""Connections to Redis or Valkey: a standalone server by URL, over TCP, TLS or a unix socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
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

    from antiphon.settings import BusSettings

BLOCK_MS = 2_000
"""How long a read waits on the server; well under the socket timeout, which tells a dead peer from a quiet lane."""

_SOCKET_TIMEOUT_S = 8.0

TRANSIENT = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, BusyLoadingError, OSError)
"""The server is away, starting or failing over: the same command may succeed a moment later."""


def connect(settings: BusSettings) -> Redis:
    """Return a client that connects on its first command and never repeats one by itself."""
    over_network = {} if settings.redis_url.startswith("unix:") else {"socket_keepalive": True}
    return Redis.from_url(
        settings.redis_url,
        **over_network,
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=3.0,
        health_check_interval=0,
        max_connections=64,
        # A repeated XADD is a second job: every caller here decides on repetition itself.
        retry=Retry(NoBackoff(), 0),
    )


def unavailable(error: Exception) -> Unavailable:
    """Return what a caller is told when the bus cannot be used."""
    if isinstance(error, OutOfMemoryError):
        return Unavailable("The job store is full. Please try again later.", retry_after_s=10.0)
    if isinstance(error, RedisError | OSError):
        return Unavailable("The job store cannot be reached. Please try again shortly.", retry_after_s=2.0)
    raise error


Entries = list[tuple[bytes, dict[bytes, bytes]]]
"""Entries of a stream with their fields."""


async def newest_id(redis: Redis, stream: str) -> bytes:
    """Return the id of the last entry, `0-0` for an empty stream."""
    reply: Any = await redis.execute_command("XREVRANGE", stream, "+", "-", "COUNT", 1)  # type: ignore[no-untyped-call]
    newest: bytes = reply[0][0] if reply else b"0-0"
    return newest


def pairs_of(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return fields that a script gives one after the other as a mapping."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def hash_of(reply: Any) -> dict[bytes, bytes]:
    """Return what HGETALL replied, a mapping under RESP3 and a list under RESP2."""
    return dict(reply) if isinstance(reply, dict) else pairs_of(reply)
