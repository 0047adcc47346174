"""One request to a server, as a span and a figure. Its address is told, never its path, its headers or its words."""

from __future__ import annotations

import time

import httpx
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from antiphon.telemetry.instruments import UPSTREAM_SECONDS
from antiphon.telemetry.spans import mark_error

_TRACER = trace.get_tracer("antiphon.upstream")
_PROPAGATOR = TraceContextTextMapPropagator()
_PORTS = {"http": 80, "https": 443}


class RequestWatch:
    """Watches a request from its sending to the end of its answer. `resent` counts the requests before it."""

    def __init__(self, url: httpx.URL, *, resent: int = 0) -> None:
        attributes: dict[str, str | int] = {
            "http.request.method": "POST",
            "server.address": url.host,
            "server.port": url.port or _PORTS.get(url.scheme, 0),
        }
        if resent:
            attributes["http.request.resend_count"] = resent
        self._span = _TRACER.start_span("POST", kind=trace.SpanKind.CLIENT, attributes=attributes)
        self._began_s = time.monotonic()
        self._status: int | None = None

    def headers(self) -> dict[str, str]:
        """Return what makes the server's own spans part of the trace."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span))
        return carrier

    def answered(self, status: int) -> None:
        """Note that the answer has begun."""
        self._status = status
        self._span.set_attribute("http.response.status_code", status)
        UPSTREAM_SECONDS.labels(str(status)).observe(time.monotonic() - self._began_s)

    def failed(self, error: BaseException) -> None:
        """Note that nothing comes of it, or not all."""
        mark_error(self._span, error)
        if self._status is None:
            UPSTREAM_SECONDS.labels("unreachable").observe(time.monotonic() - self._began_s)
        elif self._status >= 400:
            self._span.set_attribute("error.type", str(self._status))

    def end(self) -> None:
        """Note that it is over."""
        self._span.end()
