"""Tracing and logging, configured by the standard `OTEL_*` variables."""

from antiphon.telemetry.logs import configure_logging
from antiphon.telemetry.tracing import configure_tracing, consumer_span, current_trace, producer_span, tracing_enabled

__all__ = [
    "configure_logging",
    "configure_tracing",
    "consumer_span",
    "current_trace",
    "producer_span",
    "tracing_enabled",
]
