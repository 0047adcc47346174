"""Requests under the limits of their keys: refused before a byte of the body is read, or told what is left."""

from __future__ import annotations

import math
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.bus import Level, Standing
from services.ingest.access.limiter import Admitted, Limiter, Refused
from services.ingest.access.principal import Principal
from services.ingest.access.refusals import said
from services.ingest.errors import error_response
from services.ingest.surface import surface_of

_WORK = re.compile(r"/(audio/[^/]+|chat/completions|jobs|transcriptions(:submit|:transcribe)?)$")
"""What is posted there has audio heard or made."""
_OPENINGS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


class Limiting:
    """ASGI middleware behind `Authentication`. Keys without limits pass it by."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within its key's limits, or answer 429."""
        principal: Principal | None = scope.get("principal")
        if principal is None or not principal.grant.limits:
            await self._app(scope, receive, send)
            return
        try:
            async with self._limiter.admitted(principal.grant, works=asks_for_work(scope)) as admitted:
                told = send if admitted is None else _telling(send, admitted)
                await self._app(scope, receive, told)
        except Refused as refused:
            response = error_response(refused.error, surface_of(scope["path"]))
            response.headers.update(limit_headers(refused.standing))
            await response(scope, receive, send)


def asks_for_work(scope: Scope) -> bool:
    """Tell whether a request has audio heard or made, so that it takes a place and needs audio to be left."""
    return scope["type"] == "websocket" or (scope["method"] == "POST" and _WORK.search(scope["path"]) is not None)


def limit_headers(standing: Standing) -> dict[str, str]:
    """Return what an answer says of limits: a whole number left, and when all will be there again."""
    headers: dict[str, str] = {}
    for name, level in (("requests", standing.requests), ("audio-seconds", standing.audio)):
        if level is not None:
            headers |= _level_headers(name, level)
    if standing.concurrency is not None:
        headers["x-ratelimit-limit-concurrency"] = str(standing.concurrency)
        headers["x-ratelimit-remaining-concurrency"] = str(max(0, standing.concurrency - standing.running))
    return headers


def _level_headers(name: str, level: Level) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{name}": str(level.limit),
        # A little is added for what gets lost between milliseconds and their binary form.
        f"x-ratelimit-remaining-{name}": str(max(0, math.floor(level.remaining + 1e-6))),
        f"x-ratelimit-reset-{name}": said(level.reset_s),
    }


def _telling(send: Send, admitted: Admitted) -> Send:
    """Return a `send` that adds the headers to the head of the answer."""

    async def tell(message: Message) -> None:
        if message["type"] in _OPENINGS:
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers.update(limit_headers(await admitted.standing()))
        await send(message)

    return tell
