"""What one answer of a language model took, as figures and as its span; never what was said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import Span, SpanKind

from antiphon.telemetry.instruments import TIME_PER_OUTPUT_TOKEN, TIME_TO_FIRST_TOKEN, TOKENS
from antiphon.telemetry.stages import stage
from services.responder.engines import End, Piece

if TYPE_CHECKING:
    from antiphon.models import Model
    from antiphon.schemas import RespondJob

LANE = "respond"

_UPSTREAM = "upstream"


class Watch:
    """Watches the pieces of an answer go by."""

    def __init__(self, span: Span, model: str) -> None:
        self._span = span
        self._model = model
        self._began_s = time.monotonic()
        self._first_s = self._last_s = 0.0

    def note(self, piece: Piece) -> None:
        """Note that a piece is there."""
        if isinstance(piece, End):
            self._end(piece)
            return
        self._last_s = time.monotonic()
        if not self._first_s:
            self._first_s = self._last_s
            waited_s = self._first_s - self._began_s
            TIME_TO_FIRST_TOKEN.labels(self._model).observe(waited_s)
            self._span.set_attribute("antiphon.first_token_s", round(waited_s, 6))

    def _end(self, end: End) -> None:
        usage = end.usage
        for kind, tokens in (
            ("input", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("output", usage.completion_tokens),
        ):
            TOKENS.labels(self._model, kind).inc(tokens)
        if self._first_s and usage.completion_tokens > 1:
            written_s = self._last_s - self._first_s
            TIME_PER_OUTPUT_TOKEN.labels(self._model).observe(written_s / (usage.completion_tokens - 1))
        self._span.set_attributes(
            {
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
                "gen_ai.response.finish_reasons": [end.finish_reason],
            }
        )


@contextmanager
def watched(job: RespondJob, model: Model) -> Iterator[Watch]:
    """Record an answer while the block runs; requests to a server are the span's children."""
    options = job.options
    asked = {
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": options.seed,
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
    }
    with stage(
        "chat",
        lane=LANE,
        title=f"chat {model.name}",
        kind=SpanKind.CLIENT if model.engine == _UPSTREAM else SpanKind.INTERNAL,
        gen_ai__operation__name="chat",
        gen_ai__provider__name=_provider(model),
        gen_ai__request__model=job.model,
        gen_ai__response__model=model.name,
        gen_ai__output__type=_output_type(job),
        **{f"gen_ai__request__{name}": value for name, value in asked.items() if value is not None},
    ) as span:
        yield Watch(span, model.name)


def _provider(model: Model) -> str:
    """Return whose API is spoken, as the conventions name it, or the engine's own name."""
    if model.engine != _UPSTREAM:
        return model.engine
    return "azure.ai.openai" if model.options.get("azure_api_version") else "openai"


def _output_type(job: RespondJob) -> str:
    if job.voice is not None:
        return "speech"
    return "text" if job.options.format.type == "text" else "json"
