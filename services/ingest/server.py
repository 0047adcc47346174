"""Serve the application on a socket until told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from antiphon.errors import Unavailable
from services.ingest.connections import Connections, HttpConnection
from services.ingest.leaving import Leaving
from services.ingest.realtime.frames import MAX_MESSAGE_BYTES
from services.ingest.realtime.protocol import LiveProtocol
from services.ingest.settings import IngestSettings

_LOG = logging.getLogger("antiphon.ingest")
_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than common clients and proxies keep idle connections, so that it is never us who closes under a request."""


_PING_S = 20.0
_PONG_S = 45.0
"""Longer than the bus may be away: a connection that is not read meanwhile cannot show that its peer is alive."""

_GOODBYE_S = 6.0
"""How long conversations whose time is over may take to say so."""
_LOOK_S = 0.05


class _Server(uvicorn.Server):
    """Closes in steps, of which the last is not the same for requests and for conversations."""

    def __init__(self, config: uvicorn.Config, settings: IngestSettings, leaving: Leaving) -> None:
        super().__init__(config)
        self._settings = settings
        self._leaving = leaving
        self.server_state = self._open = Connections()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who runs the process."""
        yield

    async def leave(self) -> None:
        """Wait for the order to stop; close when those who send clients here have noticed."""
        await self._leaving.asked.wait()
        delay_s = self._settings.drain_delay.total_seconds()
        _LOG.info("draining")
        self._open.leave(patience_s=delay_s)
        await self._leaving.pause(delay_s)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody in any more, and let those finish who are in, each kind within its time."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self._leaving.closed.set()
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            group.create_task(self._finish(self._open, settings.grace.total_seconds()))
            live_s = settings.realtime.realtime_grace.total_seconds()
            group.create_task(self._finish(self._open.live, live_s, hurry_s=_GOODBYE_S))

    async def _finish(self, state: ServerState, grace_s: float, *, hurry_s: float = 0.0) -> None:
        """Wait until nothing is open any more; after `grace_s`, or `hurry_s` after the order to hurry, cut it off."""
        await self._empty(state, until_s=time.monotonic() + grace_s, unless=self._leaving.hurry)
        await self._empty(state, until_s=time.monotonic() + hurry_s)
        if state.tasks:
            _LOG.warning("%d requests are cut off", len(state.tasks))
        tasks = tuple(state.tasks)
        for task in tasks:
            task.cancel()
        # They still have to hand over what they leave behind.
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(state.connections):
            if (transport := connection.transport) is not None:
                transport.close()

    async def _empty(self, state: ServerState, *, until_s: float, unless: asyncio.Event | None = None) -> None:
        """Wait until nothing is open, not longer than `until_s`."""
        # What uvicorn keeps its connections in tells nobody when one has gone.
        while (state.connections or state.tasks) and time.monotonic() < until_s:
            if unless is not None and unless.is_set():
                return
            await asyncio.sleep(_LOOK_S)


def listen(settings: IngestSettings) -> socket.socket:
    """Return a socket that listens where the settings say. Raises `Unavailable`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Unavailable(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error


async def serve_http(app: FastAPI, settings: IngestSettings, *, listener: socket.socket, leaving: Leaving) -> None:
    """Serve until told to stop; then close, step by step, and finish what runs within the times of the settings."""
    config = uvicorn.Config(
        app,
        http=HttpConnection,
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
    )
    server = _Server(config, settings, leaving)
    async with asyncio.TaskGroup() as group:
        closing = group.create_task(server.leave())
        await server.serve(sockets=[listener])
        closing.cancel()
