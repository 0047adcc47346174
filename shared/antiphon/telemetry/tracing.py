"""W3C trace context across HTTP and the bus. Without an exporter configured nothing is recorded and nothing is paid."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, ProxyTracerProvider, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.trace import Span

_PROPAGATOR = TraceContextTextMapPropagator()
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def configure_tracing(service: str) -> Callable[[], None]:
    """Export spans by OTLP over HTTP if an `OTEL_*` variable names an endpoint; return what flushes them at the end."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(os.environ.get(name) for name in _ENDPOINTS):
        return lambda: None
    # The SDK costs tens of megabytes and half a second: only who exports pays for it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME") or f"antiphon-{service}"
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.namespace": "antiphon"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def tracing_enabled() -> bool:
    """Tell whether spans are recorded in this process."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


def current_trace() -> dict[str, str]:
    """Return the current context as `traceparent` and `tracestate`; empty when there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


@contextmanager
def producer_span(lane: str, job_id: str) -> Iterator[Span]:
    """Record the publishing of a job."""
    tracer = trace.get_tracer("antiphon.bus")
    attributes = {
        "messaging.system": "redis",
        "messaging.operation.type": "send",
        "messaging.destination.name": lane,
        "messaging.message.id": job_id,
    }
    with tracer.start_as_current_span(f"{lane} publish", kind=SpanKind.PRODUCER, attributes=attributes) as span:
        yield span


@contextmanager
def consumer_span(lane: str, job_id: str, *, carrier: Mapping[str, str], attempt: int) -> Iterator[Span]:
    """Record one attempt at a job: a child of its publishing, or, for a retry, a trace of its own linked to it."""
    context = _PROPAGATOR.extract(carrier)
    origin = trace.get_current_span(context).get_span_context()
    retried = attempt > 1 and origin.is_valid
    tracer = trace.get_tracer("antiphon.bus")
    attributes: dict[str, str | int] = {
        "messaging.system": "redis",
        "messaging.operation.type": "process",
        "messaging.destination.name": lane,
        "messaging.message.id": job_id,
        "antiphon.attempt": attempt,
    }
    with tracer.start_as_current_span(
        f"{lane} process",
        context=trace.set_span_in_context(NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)) if retried else context,
        kind=SpanKind.CONSUMER,
        links=[Link(origin)] if retried else None,
        attributes=attributes,
    ) as span:
        yield span


def mark_failed(span: Span, description: str) -> None:
    """Set the error status of a span."""
    span.set_status(Status(StatusCode.ERROR, description))
