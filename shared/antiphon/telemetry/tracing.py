"""W3C trace context across HTTP and the bus. Without an exporter configured nothing is recorded and nothing is paid."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, ProxyTracerProvider, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from antiphon import __version__
from antiphon.telemetry.spans import current_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.trace import Span

_PROPAGATOR = TraceContextTextMapPropagator()
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FLUSH_S = 3.0
"""How long the end of a process may take longer for the last spans."""
_TRACER = trace.get_tracer("antiphon.bus")


def configure_tracing(service: str, *, instance: str) -> Callable[[], None]:
    """Export spans by OTLP over HTTP if an `OTEL_*` variable names an endpoint; return what flushes them at the end.

    What the variables say goes before what is said here. Which traces are kept says `OTEL_TRACES_SAMPLER`.
    """
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(os.environ.get(name) for name in _ENDPOINTS):
        return lambda: None
    # The SDK costs tens of megabytes and half a second: only who exports pays for it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    about = {
        "service.name": f"antiphon-{service}",
        "service.namespace": "antiphon",
        "service.version": __version__,
        "service.instance.id": instance,
    }
    resource = Resource.create({**about, **OTELResourceDetector().detect().attributes})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    # Behind a bounded queue and in a thread of its own: a collector that is away costs spans, never work.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def flush() -> None:
        # By itself it tries for ten seconds and more.
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(_FLUSH_S)

    return flush


def tracing_enabled() -> bool:
    """Tell whether spans are recorded in this process."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


def current_trace() -> dict[str, str]:
    """Return the current context as `traceparent` and `tracestate`; empty when there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def carrier_of(traceparent: str | None, tracestate: str | None) -> dict[str, str]:
    """Return a context that came in two fields as one carrier."""
    return {name: value for name, value in (("traceparent", traceparent), ("tracestate", tracestate)) if value}


@contextmanager
def continued_trace(carrier: Mapping[str, str]) -> Iterator[None]:
    """Make what happens in the block part of a trace that began elsewhere; nothing happens without one."""
    token = contexts.attach(_PROPAGATOR.extract(carrier))
    try:
        yield
    finally:
        contexts.detach(token)


@contextmanager
def producer_span(lane: str, job_id: str) -> Iterator[Span]:
    """Record the publishing of a job."""
    attributes = {
        "messaging.system": "redis",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": lane,
        "messaging.message.id": job_id,
    }
    with current_span(_TRACER, f"{lane} publish", kind=SpanKind.PRODUCER, attributes=attributes) as span:
        yield span


@contextmanager
def consumer_span(
    lane: str, job_id: str, *, carrier: Mapping[str, str], attempt: int, group: str, again: bool = False
) -> Iterator[Span]:
    """Record one attempt at a job: a child of its publishing.

    A retry, and a job that is done `again` long after, is a trace of its own that is linked to the publishing.
    """
    context = _PROPAGATOR.extract(carrier)
    origin = trace.get_current_span(context).get_span_context()
    apart = (again or attempt > 1) and origin.is_valid
    attributes: dict[str, str | int] = {
        "messaging.system": "redis",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": lane,
        "messaging.consumer.group.name": group,
        "messaging.message.id": job_id,
        "antiphon.attempt": attempt,
    }
    with _TRACER.start_as_current_span(
        f"{lane} process",
        context=trace.set_span_in_context(NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)) if apart else context,
        kind=SpanKind.CONSUMER,
        links=[Link(origin)] if apart else None,
        attributes=attributes,
        # Not every exception is a fault, and none may be told with its words.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span
