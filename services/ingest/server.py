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
from services.ingest.settings import IngestSettings

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than common clients and proxies keep idle connections, so that it is never us who closes under a request."""


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
        ws="none",
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
