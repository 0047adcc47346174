"""A stage of a job: a span inside the job's own, and a figure in the histogram of stages."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace

from antiphon.telemetry.instruments import STAGE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.util.types import AttributeValue

_TRACER = trace.get_tracer("antiphon.stages")


@contextmanager
def stage(name: str, *, lane: str, **attributes: AttributeValue) -> Iterator[trace.Span]:
    """Time a stage of a job on `lane`; what is called inside it gets the stage's span for a parent.

    `attributes` go to the span, their names with dots for double underscores. Not for what a caller leaves in the
    middle, as a generator may.
    """
    began_s = time.perf_counter()
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    try:
        with _TRACER.start_as_current_span(name, attributes=named) as span:
            yield span
    finally:
        STAGE_SECONDS.labels(lane, name).observe(time.perf_counter() - began_s)
