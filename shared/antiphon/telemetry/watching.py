"""What a process shows to who watches it: `/metrics`, `/healthz` and `/readyz`, from its own event loop."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from typing import TYPE_CHECKING

import orjson
import prometheus_client
import uvicorn
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from antiphon.errors import Unavailable
from antiphon.telemetry.instruments import STORE_AWAY_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from prometheus_client import CollectorRegistry, Metric
    from starlette.types import Receive, Scope, Send

    from antiphon.settings import WatchSettings
    from antiphon.telemetry.health import Health

logger = logging.getLogger(__name__)

_END = b"# EOF\n"
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_GRACE_S = 1
_BACKLOG = 32
_HEAD = re.compile(rb"(# [^\n]*\n)+")
"""What stands before the samples of a metric, once."""
_PIECE = 100
"""Samples that are written at once."""
_SLICE_S = 0.001
"""How long telling the metrics may keep the loop from its other work."""


class Watch:
    """ASGI application that answers for one process, without keys: it belongs on a network of the operator's own."""

    def __init__(self, health: Health, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._health = health
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            status, kind, body = 405, _TEXT, b"GET only\n"
        elif scope["path"] == "/metrics":
            status, kind, body = await self._metrics(scope)
        elif scope["path"] == "/healthz":
            status, kind, body = self._alive()
        elif scope["path"] == "/readyz":
            status, kind, body = self._ready()
        else:
            status, kind, body = 404, _TEXT, b"/metrics, /healthz, /readyz\n"
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _metrics(self, scope: Scope) -> tuple[int, str, bytes]:
        STORE_AWAY_SECONDS.set(self._health.store_away_s())
        for refresh in self._health.before_metrics:
            try:
                await refresh()
            except Exception:
                # Whatever it would have told is missing then; the rest is not.
                logger.exception("some metrics could not be brought up to date")
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        encode, kind = choose_encoder(accept.decode("latin-1"))
        parts: list[bytes] = []
        since_s = time.perf_counter()
        for metric in self._registry.collect():
            # Piece by piece, so that the work of the process goes on in between.
            for start in range(0, max(1, len(metric.samples)), _PIECE):
                if time.perf_counter() - since_s > _SLICE_S:
                    await asyncio.sleep(0)
                    since_s = time.perf_counter()
                text = encode(_Part(metric, start)).removesuffix(_END)
                parts.append(_HEAD.sub(b"", text, count=1) if start else text)
        if kind.startswith("application/openmetrics-text"):
            parts.append(_END)
        return 200, kind, b"".join(parts)

    def _alive(self) -> tuple[int, str, bytes]:
        stuck = self._health.stuck()
        told: dict[str, object] = {"status": "stuck" if stuck else "ok"}
        if stuck:
            told["stuck"] = stuck
        if away_s := self._health.store_away_s():
            # Worth knowing, but nothing that a restart of this process would mend.
            told["store_away_s"] = round(away_s, 1)
        return (503 if stuck else 200), _JSON, orjson.dumps(told)

    def _ready(self) -> tuple[int, str, bytes]:
        if self._health.draining:
            return 503, _JSON, orjson.dumps({"status": "draining"})
        if not self._health.ready:
            return 503, _JSON, orjson.dumps({"status": "starting"})
        return 200, _JSON, orjson.dumps({"status": "ready"})


@asynccontextmanager
async def watched(settings: WatchSettings, health: Health) -> AsyncIterator[None]:
    """Serve what `health` and the instruments tell while the block runs. Raises `Unavailable` for a port in use."""
    if not settings.metrics_port:
        yield
        return
    # When each series began, as a series of its own: nobody asks for it, and it doubles what counters cost.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    listener = _listen(settings.metrics_host, settings.metrics_port)
    server = _Server(
        uvicorn.Config(
            Watch(health),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="watch")
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port} for metrics: {error.strerror}") from error


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who runs the process."""
        yield


class _Part:
    """A registry of some samples of one metric."""

    def __init__(self, metric: Metric, start: int) -> None:
        self._metric = copy(metric)
        self._metric.samples = metric.samples[start : start + _PIECE]

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
