"""Connections to Redis or Valkey: one server over TCP, TLS or a unix socket, or the master that sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
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

from antiphon.errors import InvalidValue, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.settings import BusSettings

BLOCK_MS = 2_000
"""How long a read waits on the server; well under the socket timeout, which tells a dead peer from a quiet lane."""

_SOCKET_TIMEOUT_S = 8.0

TRANSIENT = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, BusyLoadingError, OSError)
"""The server is away, starting or failing over: the same command may succeed a moment later."""


def connect(settings: BusSettings) -> Redis:
    """Return a client that connects on its first command and never repeats one by itself.

    Raises `InvalidValue` for a URL of sentinels that names no master.
    """
    url = settings.redis_url
    options: dict[str, Any] = {
        "socket_timeout": _SOCKET_TIMEOUT_S,
        "socket_connect_timeout": 3.0,
        "health_check_interval": 0,
        "max_connections": 64,
        # A repeated XADD is a second job: every caller here decides on repetition itself.
        "retry": Retry(NoBackoff(), 0),
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    if url.startswith(("redis+sentinel:", "rediss+sentinel:")):
        return _master(url, options)
    return Redis.from_url(url, **options)


def _master(url: str, options: dict[str, Any]) -> Redis:
    """Read `redis+sentinel://[user:password@]host:port,host:port/master[/database]`; `rediss` for TLS."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    if not name or not hosts or not (database or "0").isdigit():
        raise InvalidValue("REDIS_URL must be redis+sentinel://host:26379,host:26379/master-name/0")
    sentinels = []
    for host in hosts.split(","):
        address, _, port = host.rpartition(":") if ":" in host else (host, ":", "26379")
        sentinels.append((address, int(port)))
    if credentials:
        user, _, password = credentials.partition(":")
        options |= {"username": unquote(user) or None, "password": unquote(password)}
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    quick = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": options["retry"]}
    watch = Sentinel(sentinels, sentinel_kwargs=quick, **options)  # type: ignore[no-untyped-call]
    master: Redis = watch.master_for(name, db=int(database or 0))
    return master


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
