"""WebSockets as uvicorn serves them, made fit for conversations that last an hour and for keys in URLs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn import Config

    from services.ingest.connections import Connections

_LINGER_S = 10.0


class LiveProtocol(WebSocketsSansIOProtocol):
    """A connection that is not counted among those of requests, and that logs nothing it was sent."""

    def __init__(self, config: Config, server_state: Connections, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self.connections = server_state.live.connections
        self.tasks = server_state.live.tasks
        # The one of uvicorn writes down URLs, and at level DEBUG headers and messages: there are keys in all of them.
        quiet = logging.Logger("antiphon.ingest.websocket", logging.WARNING)
        quiet.parent = logging.getLogger("antiphon.ingest")
        self.logger = self.conn.logger = quiet
        self.conn.debug = False
        self._application = self.app
        self.app = self._serve

    def keepalive_timeout(self) -> None:
        """Give up a peer that answers no pings."""
        super().keepalive_timeout()
        self._let_go()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._application(scope, receive, send)
        finally:
            # A refusal by HTTP ends the handshake as well, which uvicorn takes for an oversight.
            self.handshake_complete = self.handshake_complete or self.initial_response is not None
            self._let_go()

    def _let_go(self) -> None:
        """Throw away soon what the peer does not read, which a closed connection keeps for as long as TCP hopes."""
        self.loop.call_later(_LINGER_S, self.transport.abort)
