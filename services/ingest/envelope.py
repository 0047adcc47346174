"""What surrounds every request: an id, a span, figures, the last net for faults."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.errors import Failure, Unavailable
from antiphon.telemetry.instruments import REQUESTS_RUNNING
from services.ingest.errors import error_response
from services.ingest.exchange import Exchange
from services.ingest.tracing import method_of, record_answer, server_span

_LOG = logging.getLogger("antiphon.ingest")
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
        exchange = Exchange(scope, receive, send)
        if scope["path"] in _QUIET:
            await self._serve(scope, exchange)
            return
        with _watched(scope, exchange):
            await self._serve(scope, exchange)

    async def _serve(self, scope: Scope, exchange: Exchange) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.abandoned = True
        except asyncio.CancelledError:
            # The door has closed, and the time of its last requests is over.
            exchange.abandoned = exchange.status is not None
            if exchange.status is None:
                over = Unavailable("The server is restarting. Please try again.", retry_after_s=1.0)
                await error_response(over, exchange.surface)(scope, exchange.receive, exchange.send)
        except Exception:
            _LOG.exception("request %s failed", exchange.request_id)
            fault = Failure("The server had an error while processing your request.")
            # Made in any case: it counts, although nobody may be left who could be told.
            response = error_response(fault, exchange.surface)
            if exchange.status is None:
                await response(scope, exchange.receive, exchange.send)


@contextmanager
def _watched(scope: Scope, exchange: Exchange) -> Iterator[None]:
    """Trace, count, time and log a request."""
    running = REQUESTS_RUNNING if scope["type"] == "http" else None
    if running is not None:
        running.inc()
    with server_span(scope) as span:
        try:
            yield
        finally:
            if running is not None:
                running.dec()
            exchange.measure()
            record_answer(span, scope, status=exchange.status_told, close_code=exchange.close_code)
            _LOG.info(
                "%s %s %s %.0f ms %s",
                method_of(scope),
                scope["path"],
                "abandoned" if exchange.abandoned else exchange.status,
                exchange.elapsed_ms,
                exchange.request_id,
            )
