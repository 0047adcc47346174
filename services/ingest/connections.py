"""HTTP connections of a door that may close: each ends between two requests, and its client knows before."""

from __future__ import annotations

from asyncio import Transport
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


class Connections(ServerState):
    """What is open at a door. WebSockets are apart, for they have a time of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.live = ServerState()
        self.patience_s: float | None = None
        """How long a connection waits for another request once the door closes; None before."""

    def leave(self, *, patience_s: float) -> None:
        """Have every connection end with the answer to its next request, or without one."""
        self.patience_s = patience_s
        for connection in list(self.connections):
            if isinstance(connection, HttpConnection):
                connection.leave()


class HttpConnection(HttpToolsProtocol):
    """A connection that serves what is asked on it as long as its client cannot know better.

    A client that has been told nothing may send its next request at any moment, and a connection that is closed under
    it is a failed request. So each answer from the order to stop on says `Connection: close`; whoever has none to read
    that in gets some time in which another request is still served.
    """

    _asking = False
    """A request has begun to come in."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take a connection; while the door closes it is one that is not kept for long."""
        super().connection_made(transport)
        if self._patience_s is not None:
            self.leave()

    def leave(self) -> None:
        """Close between two requests, soon."""
        patience_s = self._patience_s or 0.0
        self.timeout_keep_alive = cast("int", patience_s)
        if self._asking:
            return
        if self.cycle is None or self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(patience_s, self.timeout_keep_alive_handler)
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self._asking = True

    def on_headers_complete(self) -> None:
        """Begin to serve a request."""
        super().on_headers_complete()
        self._asking = False
        if self._patience_s is not None and self.cycle is not None:
            self.cycle.keep_alive = False

    @property
    def _patience_s(self) -> float | None:
        return cast("Connections", self.server_state).patience_s
