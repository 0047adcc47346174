"""Keys are checked before a byte of the body is read."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.errors import AntiphonError
from services.ingest.access.doorkeeper import Doorkeeper
from services.ingest.access.presented import is_guarded, take_keys
from services.ingest.errors import error_response
from services.ingest.surface import surface_of

_CALLS = re.compile(r"/realtime(/translations)?/calls$")
"""Where browsers come with their client secret besides WebSockets."""


class Authentication:
    """ASGI middleware that leaves the `Principal` in `scope["principal"]` or answers 401."""

    def __init__(self, app: ASGIApp, *, doorkeeper: Doorkeeper) -> None:
        self._app = app
        self._doorkeeper = doorkeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass when any of its keys is known."""
        if scope["type"] in ("http", "websocket") and is_guarded(scope["path"]):
            secrets = scope["type"] == "websocket" or _CALLS.search(scope["path"]) is not None
            try:
                scope["principal"] = await self._doorkeeper.let_in(take_keys(scope), secrets=secrets)
            except AntiphonError as error:
                await error_response(error, surface_of(scope["path"]))(scope, receive, send)
                return
        await self._app(scope, receive, send)
