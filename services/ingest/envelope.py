"""What surrounds every request: an id, a span, timing, the last net for faults."""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.errors import Failure
from services.ingest.errors import error_response
from services.ingest.surface import Surface, surface_of
from services.ingest.tracing import method_of, record_status, server_span

_LOG = logging.getLogger("antiphon.ingest")
_OPENINGS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_QUIET = frozenset({"/healthz", "/readyz"})


class Envelope:
    """ASGI middleware; the outermost one."""

    def __init__(self, app: ASGIApp, *, path_prefix: str = "") -> None:
        self._app = app
        self._path_prefix = path_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope["path"] = scope["path"].removeprefix(self._path_prefix)
        exchange = _Exchange(scope, send)
        with server_span(scope) as span:
            try:
                await self._app(scope, receive, exchange.send)
            except ClientDisconnect:
                exchange.abandoned = True
            except Exception:
                _LOG.exception("request %s failed", exchange.request_id)
                if exchange.status is None:
                    fault = Failure("The server had an error while processing your request.")
                    await error_response(fault, exchange.surface)(scope, receive, exchange.send)
            finally:
                record_status(span, exchange.status or 499)
                if scope["path"] not in _QUIET:
                    _LOG.info(
                        "%s %s %s %.0f ms %s",
                        method_of(scope),
                        scope["path"],
                        "abandoned" if exchange.abandoned else exchange.status,
                        exchange.elapsed_ms,
                        exchange.request_id,
                    )


class _Exchange:
    """One request and the answer to it."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._started = time.perf_counter()
        self.surface: Surface = surface_of(scope["path"])
        self.request_id = f"req_{secrets.token_hex(16)}"
        self.status: int | None = None
        self.abandoned = False

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request came in."""
        return (time.perf_counter() - self._started) * 1000

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has."""
        if message["type"] in _OPENINGS:
            self.status = message.get("status", HTTPStatus.SWITCHING_PROTOCOLS)
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["x-request-id"] = self.request_id
            headers["openai-version"] = "2020-10-01"
            headers["openai-processing-ms"] = str(round(self.elapsed_ms))
            if self.surface != "openai":
                headers["apim-request-id"] = str(uuid.uuid4())
        await self._send(message)
