"""Where the bus is: one server over TCP, TLS or a unix socket, the master that sentinels name, or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from antiphon.bus.line import Line, line_over
from antiphon.bus.outbox import LineOutbox
from antiphon.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.bus.cluster import Address
    from antiphon.bus.outbox import Outbox
    from antiphon.settings import BusSettings

_CONNECT_S = 3.0


class Servers(Protocol):
    """Makes what talks to the servers. Nothing connects before its first command, or repeats one by itself."""

    def outbox(self, scripts: dict[str, str]) -> Outbox:
        """Return what sends commands of all kinds; `scripts` maps SHA-1 to source."""
        ...

    def line(self, key: str | bytes, *, timeout_s: float | None = None) -> Line:
        """Return a connection of its own to the server that has a key, wherever that goes."""
        ...

    def together(self, keys: Sequence[bytes]) -> list[list[bytes]]:
        """Return the keys in groups that one command may name together."""
        ...

    async def close(self) -> None:
        """Let go of what is shared. Outboxes and lines are closed by who asked for them."""
        ...


class OneServer:
    """A server, or whichever is the master when it is asked."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def outbox(self, scripts: dict[str, str]) -> Outbox:
        """Return an outbox over one connection."""
        return LineOutbox(self.line(b""), scripts)

    def line(self, key: str | bytes, *, timeout_s: float | None = None) -> Line:
        """Return a connection of its own."""
        return line_over(self._redis, timeout_s=timeout_s)

    def together(self, keys: Sequence[bytes]) -> list[list[bytes]]:
        """Return all keys in one group."""
        return [list(keys)]

    async def close(self) -> None:
        """Close the pool, in which sentinels are asked for their master."""
        await self._redis.aclose()


def connect(settings: BusSettings) -> Servers:
    """Return the servers that a URL names.

    Raises `InvalidValue` for a URL of sentinels that names no master, or one of a cluster that names a database.
    """
    url = settings.redis_url
    options: dict[str, Any] = {
        "socket_connect_timeout": _CONNECT_S,
        "health_check_interval": 0,
        # A repeated XADD is a second job: every caller here decides on repetition itself.
        "retry": Retry(NoBackoff(), 0),
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    if url.startswith(("redis+sentinel:", "rediss+sentinel:")):
        return OneServer(_master(url, options))
    if url.startswith(("redis+cluster:", "rediss+cluster:")):
        return _cluster(url, options)
    return OneServer(Redis.from_url(url, **options))


def _master(url: str, options: dict[str, Any]) -> Redis:
    """Read `redis+sentinel://[user:password@]host:port,host:port/master[/database]`; `rediss` for TLS."""
    sentinels, path, more = _read(url, default_port=26379)
    name, _, database = path.partition("/")
    if not name or not sentinels or not (database or "0").isdigit():
        raise InvalidValue("REDIS_URL must be redis+sentinel://host:26379,host:26379/master-name/0")
    options |= more
    quick = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": options["retry"]}
    watch = Sentinel(sentinels, sentinel_kwargs=quick, **options)  # type: ignore[no-untyped-call]
    master: Redis = watch.master_for(name, db=int(database or 0))
    return master


def _cluster(url: str, options: dict[str, Any]) -> Servers:
    """Read `redis+cluster://[user:password@]host:port,host:port`; `rediss` for TLS."""
    # Only who has a cluster needs it.
    from antiphon.bus.cluster import Cluster  # noqa: PLC0415
    from antiphon.bus.cluster_servers import ClusterServers  # noqa: PLC0415

    nodes, path, more = _read(url, default_port=6379)
    if not nodes or path not in {"", "0"}:
        raise InvalidValue("REDIS_URL must be redis+cluster://host:6379,host:6379, without a database")
    return ClusterServers(Cluster(nodes, options | more))


def _read(url: str, *, default_port: int) -> tuple[list[Address], str, dict[str, Any]]:
    """Return the addresses in a URL, its path, and what it says of how to connect."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    addresses = []
    for host in filter(None, hosts.split(",")):
        name, _, port = host.rpartition(":") if ":" in host and not host.endswith("]") else (host, ":", default_port)
        if not str(port).isdigit():
            raise InvalidValue(f"REDIS_URL: {port!r} is no port")
        addresses.append((name.strip("[]"), int(port)))
    options: dict[str, Any] = {}
    if credentials:
        user, _, password = credentials.partition(":")
        options = {"username": unquote(user) or None, "password": unquote(password)}
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    return addresses, parts.path.strip("/"), options
