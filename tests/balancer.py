"""A balancer before several doors, as a cluster's Service is: a new connection goes to a door that says it is ready.

It knows nothing of HTTP and tries nothing twice: what a door does to a connection, its client sees.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_LOOK_S = 0.1
_PROBE_S = 5.0
_PIECE = 2**16


@dataclass
class Balancer:
    """Doors by their ports; who is `ready` takes its turn."""

    doors: set[int]
    port: int = 0
    ready: list[int] = field(default_factory=list)
    turned_away: int = 0
    """Connections that came while no door was ready, or that a ready door did not take."""

    _turn: int = 0
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def root_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def watch(self) -> None:
        """Ask the doors whether they are ready, again and again."""
        while True:
            answers = {port: await self._is_ready(port) for port in sorted(self.doors)}
            self.ready = [port for port in sorted(self.doors) if answers.get(port)]
            await asyncio.sleep(_LOOK_S)

    async def take(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._carry(client, to_client)
        except (OSError, asyncio.CancelledError):
            # Cancelled by `close`; the callback of asyncio's own task does not expect it.
            pass
        finally:
            self._connections.discard(task)
            to_client.close()

    async def close(self) -> None:
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if not self.ready:
            self.turned_away += 1
            return
        self._turn += 1
        port = self.ready[self._turn % len(self.ready)]
        try:
            door, to_door = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            self.turned_away += 1
            return
        try:
            async with asyncio.TaskGroup() as both:
                asking = both.create_task(_copy(client, to_door))
                # When the door has closed there is nobody who could read the rest of what a client says.
                await _copy(door, to_client)
                asking.cancel()
        except* OSError:
            to_client.transport.abort()
        finally:
            to_door.close()

    async def _is_ready(self, port: int) -> bool:
        try:
            async with asyncio.timeout(_PROBE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(b"GET /readyz HTTP/1.1\r\nhost: door\r\nconnection: close\r\n\r\n")
                    return (await reader.readline()).split(b" ")[1] == b"200"
                finally:
                    writer.close()
        except (OSError, TimeoutError, IndexError):
            return False


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source has ended, then end the target, too."""
    while piece := await source.read(_PIECE):
        target.write(piece)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()


@asynccontextmanager
async def balancing(*doors: int) -> AsyncIterator[Balancer]:
    """Listen on a port of its own until left."""
    balancer = Balancer(set(doors))
    server = await asyncio.start_server(balancer.take, "127.0.0.1", 0)
    balancer.port = server.sockets[0].getsockname()[1]
    watching = asyncio.create_task(balancer.watch())
    try:
        yield balancer
    finally:
        watching.cancel()
        server.close()
        await balancer.close()
        await asyncio.gather(watching, return_exceptions=True)
