"""One connection to the server that is kept open, for what is asked most often.

The client library's pipeline and its `execute_command` cost several times as much processor time per command; and a
command of theirs that is cancelled at the wrong moment goes on (Python 3.11's `wait_for`), where a loop must end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from antiphon.bus.connection import pairs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

    from antiphon.bus.connection import Entries

Argument = str | bytes | int | float

TIMEOUT_S = 8.0
"""For one round trip, blocking reads included: it tells a dead peer from a quiet lane."""


class Line:
    """Sends commands to a server, many to a round trip. One task at a time may use it."""

    def __init__(self, connection: AbstractConnection, *, timeout_s: float | None = None) -> None:
        self._connection = connection
        self._timeout_s = TIMEOUT_S if timeout_s is None else timeout_s

    async def exchange(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Send commands and return a reply for each; one that was refused is a `redis.ResponseError` in its place.

        Connects when necessary. Raises `redis.RedisError` or `OSError` when the server cannot be reached; whether the
        commands were run is not known then.
        """
        return await self.exchange_packed([pack_command(command) for command in commands])  # type: ignore[arg-type]

    async def exchange_packed(self, packed: Sequence[bytes]) -> list[Any]:
        """Do the same with commands as they go over the wire."""
        connection = self._connection
        try:
            async with asyncio.timeout(self._timeout_s):
                if connection.is_connected and await connection.can_read():
                    # The server has closed it, or a reply is left of an exchange that was cut off.
                    await connection.disconnect(nowait=True)
                if not connection.is_connected:
                    # By name: a connection that asks sentinels for its master does so here only.
                    await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_packed_command(packed, check_health=False)
                return [await self._receive() for _ in packed]
        except TimeoutError as error:
            raise RedisTimeoutError("the server did not answer in time") from error

    async def read(self, *command: Argument) -> list[tuple[bytes, Entries]]:
        """Run XREAD or XREADGROUP; return the streams that had something. Raises `redis.RedisError` or `OSError`."""
        (reply,) = await self.exchange([command])
        return entries_of(reply)

    async def close(self) -> None:
        """Close the connection; a later exchange opens it again."""
        await self._connection.disconnect(nowait=True)

    async def _receive(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error


def line_over(redis: Redis, *, timeout_s: float | None = None) -> Line:
    """Return a line to the server of a client, over a connection of its own."""
    pool = redis.connection_pool
    # The time limit is the line's, once for all commands of a round trip, instead of anew for each.
    return Line(pool.connection_class(**{**pool.connection_kwargs, "socket_timeout": None}), timeout_s=timeout_s)


def entries_of(reply: Any) -> list[tuple[bytes, Entries]]:
    """Return what XREAD or XREADGROUP replied, a list under RESP2 and a mapping under RESP3. Raises an error in it."""
    if isinstance(reply, ResponseError):
        raise reply
    streams = reply.items() if isinstance(reply, dict) else reply or ()
    return [(name, [(entry, pairs_of(fields)) for entry, fields in entries]) for name, entries in streams]
