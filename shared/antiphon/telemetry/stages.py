"""A stage of a job: a span inside the job's own, and a figure in the histogram of stages."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace

from antiphon.telemetry.instruments import STAGE_SECONDS
from antiphon.telemetry.spans import current_span, mark_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.util.types import AttributeValue

_TRACER = trace.get_tracer("antiphon.stages")


@contextmanager
def stage(
    name: str,
    *,
    lane: str,
    title: str | None = None,
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    **attributes: AttributeValue,
) -> Iterator[trace.Span]:
    """Time a stage of a job on `lane`; what is called inside it gets the stage's span for a parent.

    `attributes` go to the span, their names with dots for double underscores; `title` is its name, if not the
    stage's. Not for what a caller leaves in the middle, as a generator may.
    """
    began_s = time.perf_counter()
    try:
        with current_span(_TRACER, title or name, kind=kind, attributes=_dotted(attributes)) as span:
            yield span
    finally:
        STAGE_SECONDS.labels(lane, name).observe(time.perf_counter() - began_s)


class OpenStage:
    """A stage that goes on beside others. Its span lasts from beginning to end and is nobody's parent.

    Where the time at work is noted, that is its figure, without what lay in between.
    """

    def __init__(self, name: str, *, lane: str, **attributes: AttributeValue) -> None:
        self.span = _TRACER.start_span(name, attributes=_dotted(attributes))
        self._figure = STAGE_SECONDS.labels(lane, name)
        self._began_ns = time.time_ns()
        self._busy_s: float | None = None
        self._ended = False

    def add(self, busy_s: float) -> None:
        """Note time at work."""
        self._busy_s = (self._busy_s or 0.0) + busy_s

    def end(self, error: BaseException | None = None, *, at_ns: int | None = None) -> None:
        """End it, now or where it was over before; the first end counts."""
        if self._ended:
            return
        self._ended = True
        if self._busy_s is not None:
            self.span.set_attribute("antiphon.busy_s", round(self._busy_s, 6))
        if isinstance(error, Exception):
            mark_error(self.span, error)
        self.span.end(at_ns)
        lasted_s = max(0, (at_ns or time.time_ns()) - self._began_ns) / 1e9
        self._figure.observe(lasted_s if self._busy_s is None else self._busy_s)


@contextmanager
def open_stage(name: str, *, lane: str, **attributes: AttributeValue) -> Iterator[OpenStage]:
    """Begin a stage that goes on beside others, and end it with the block at the latest."""
    opened = OpenStage(name, lane=lane, **attributes)
    try:
        yield opened
    except BaseException as error:
        opened.end(error)
        raise
    finally:
        opened.end()


def observe_stage(name: str, seconds: float, *, lane: str) -> None:
    """Add a figure that needs no span of its own."""
    STAGE_SECONDS.labels(lane, name).observe(seconds)


def _dotted(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {key.replace("__", "."): value for key, value in attributes.items()}
