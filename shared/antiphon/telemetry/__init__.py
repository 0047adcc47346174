"""Tracing and logging, configured by the standard `OTEL_*` variables."""

from antiphon.telemetry.logs import configure_logging
from antiphon.telemetry.tracing import (
    carrier_of,
    configure_tracing,
    consumer_span,
    continued_trace,
    current_trace,
    producer_span,
    tracing_enabled,
)

__all__ = [
    "carrier_of",
    "configure_logging",
    "configure_tracing",
    "consumer_span",
    "continued_trace",
    "current_trace",
    "producer_span",
    "tracing_enabled",
]
