"""Serve the application on a socket until told to stop."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from antiphon.errors import Unavailable
from services.ingest.realtime.frames import MAX_MESSAGE_BYTES
from services.ingest.realtime.protocol import LiveProtocol
from services.ingest.settings import IngestSettings

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than common clients and proxies keep idle connections, so that it is never us who closes under a request."""


_PING_S = 20.0
_PONG_S = 45.0
"""Longer than the bus may be away: a connection that is not read meanwhile cannot show that its peer is alive."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who runs the process."""
        yield


def listen(settings: IngestSettings) -> socket.socket:
    """Return a socket that listens where the settings say. Raises `Unavailable`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Unavailable(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error


async def serve_http(app: FastAPI, settings: IngestSettings, *, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; then finish the requests that run, within the grace time."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws=LiveProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PONG_S,
        # Sound in base64 does not get smaller by it, and a connection takes 300 KB more.
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.grace.total_seconds()),
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_stop_when(stop, server))
        await server.serve(sockets=[listener])
        waiting.cancel()
    # Requests that were cut off still have to hand over what they leave behind.
    await asyncio.gather(*server.server_state.tasks, return_exceptions=True)


async def _stop_when(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    server.should_exit = True
