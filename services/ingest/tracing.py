"""One server span per request, in the trace that the caller began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from starlette.datastructures import Headers
from starlette.types import Scope

UNMATCHED = "unmatched"

_TRACER = trace.get_tracer("antiphon.ingest")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CATCH_ALL = "/{path}"


@contextmanager
def server_span(scope: Scope) -> Iterator[trace.Span]:
    """Make a span current for the time of a request; jobs submitted meanwhile carry its context.

    It is named after the method alone: which route it is is known later.
    """
    parent = propagate.extract(dict(Headers(scope=scope)))
    method = method_of(scope)
    attributes = {
        "http.request.method": method,
        "url.scheme": scope.get("scheme", "http"),
        # Never the query, in which keys and signatures come.
        "url.path": scope["path"],
    }
    with _TRACER.start_as_current_span(
        method if method in _METHODS else "HTTP",
        context=parent,
        kind=trace.SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def method_of(scope: Scope) -> str:
    """Return the method of a request, `_OTHER` for one that is not known; a WebSocket begins as a GET."""
    method = scope.get("method", "GET")
    return method if method in _METHODS else "_OTHER"


def route_of(scope: Scope) -> str:
    """Return the template of the route that a request was given to, `unmatched` before and without one."""
    # A router that is included in several places is one route to FastAPI; where it stands says the context.
    context: Any = scope.get("fastapi", {}).get("effective_route_context")
    template = getattr(context, "path_format", "") or getattr(scope.get("route"), "path_format", "")
    return UNMATCHED if template in ("", _CATCH_ALL) else template


def record_answer(span: trace.Span, scope: Scope, *, status: int, close_code: int | None = None) -> None:
    """Note where a request went and how it was answered; only 5xx are errors of the server."""
    route = route_of(scope)
    if route != UNMATCHED:
        method = method_of(scope)
        span.update_name(f"{method if method in _METHODS else 'HTTP'} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if close_code is not None:
        span.set_attribute("antiphon.close_code", close_code)
    if status >= 500:
        span.set_status(trace.StatusCode.ERROR)
