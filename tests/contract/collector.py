"""A receiver of OTLP over HTTP, as a collector is one: it keeps the spans that services export."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan

EXPORT_S = 30.0

FoundT = TypeVar("FoundT")


@dataclass(frozen=True)
class Span:
    """A span that was exported. `links` are the trace and the span of each."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    attributes: Mapping[str, Any]
    failed: bool
    words: str
    """All that it says, in any field of it, as text."""


@dataclass(frozen=True)
class Trace:
    """The spans of one trace that have come so far."""

    spans: Sequence[Span]

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Span:
        """Return the only span of a name."""
        (span,) = self.named(name)
        return span

    @property
    def roots(self) -> list[Span]:
        """The spans whose parent has not come: one, where all of it hangs together."""
        known = {span.span_id for span in self.spans}
        return [span for span in self.spans if span.parent_id not in known]

    @property
    def paths(self) -> set[str]:
        """The names on the way from the root to each span: `a > b > c`."""
        by_id = {span.span_id: span for span in self.spans}
        return {" > ".join(reversed([each.name for each in _way_up(span, by_id)])) for span in self.spans}

    def outline(self) -> str:
        """Return all of it as an indented text, for whoever reads why a test has failed."""
        return "\n".join(sorted(self.paths)) or "nothing"


@dataclass
class Collector:
    """What has come in so far."""

    endpoint: str
    spans: list[Span] = field(default_factory=list)

    def trace(self, trace_id: str) -> Trace:
        """Return what has come of a trace."""
        return Trace([span for span in tuple(self.spans) if span.trace_id == trace_id])

    def find(self, name: str, **attributes: str) -> list[Span]:
        """Return the spans of a name with these attributes, their names with dots for double underscores."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [
            span
            for span in tuple(self.spans)
            if span.name == name and all(span.attributes.get(key) == value for key, value in wanted.items())
        ]

    def await_paths(self, trace_id: str, *paths: str) -> Trace:
        """Wait until a trace hangs together and these ways are in it; return it."""
        return until(
            lambda: self.trace(trace_id),
            lambda trace: len(trace.roots) == 1 and set(paths) <= trace.paths,
            lambda trace: f"of {paths} only this came:\n{trace.outline()}",
        )

    def await_spans(self, count: int, name: str, **attributes: str) -> list[Span]:
        """Wait for so many spans of a name with these attributes."""
        return until(
            lambda: self.find(name, **attributes),
            lambda found: len(found) >= count,
            lambda found: f"{len(found)} of {count} spans {name!r} with {attributes} came",
        )


def until(look: Callable[[], FoundT], good: Callable[[FoundT], bool], complaint: Callable[[FoundT], str]) -> FoundT:
    """Look again and again until what is found is good, and return it; fail when that takes too long."""
    deadline = time.monotonic() + EXPORT_S
    while not good(found := look()):
        if time.monotonic() > deadline:
            pytest.fail(complaint(found), pytrace=False)
        time.sleep(0.05)
    return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """Receive spans on a free port of the loopback."""
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.spans += spans_of(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Yield the spans of one export."""
    for resource in request.resource_spans:
        about = _read(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    service=about["service.name"],
                    name=span.name,
                    kind=SentSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    attributes=_read(span.attributes),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    words=f"{resource.resource} {scope.scope} {span}",
                )


def _read(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def _way_up(span: Span, by_id: Mapping[str, Span]) -> Iterator[Span]:
    step: Span | None = span
    while step is not None:
        yield step
        step = by_id.get(step.parent_id)
