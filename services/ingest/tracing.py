"""One server span per request, in the trace that the caller began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from starlette.datastructures import Headers
from starlette.types import Scope

_TRACER = trace.get_tracer("antiphon.ingest")


@contextmanager
def server_span(scope: Scope) -> Iterator[trace.Span]:
    """Make a span current for the time of a request; jobs submitted meanwhile carry its context."""
    parent = propagate.extract(dict(Headers(scope=scope)))
    method = method_of(scope)
    attributes = {"http.request.method": method, "url.path": scope["path"]}
    with _TRACER.start_as_current_span(
        f"{method} {scope['path']}", context=parent, kind=trace.SpanKind.SERVER, attributes=attributes
    ) as span:
        yield span


def method_of(scope: Scope) -> str:
    """Return the method of a request; a WebSocket begins as a GET."""
    method: str = scope.get("method", "GET")
    return method


def record_status(span: trace.Span, status: int) -> None:
    """Note how the request was answered; only 5xx are errors of the server."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(trace.StatusCode.ERROR)
