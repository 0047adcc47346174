"""An answer, as the process of a model writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from antiphon.schemas import FinishReason, RatedToken, ReplyUsage, WrittenToken
from services.responder.engines.answer_form import AnswerForm
from services.responder.engines.form_reader import FormReader
from services.responder.engines.language_model import CallPiece, TextPiece
from services.responder.engines.stop_strings import StopStrings


class Answer:
    """Turns events into pieces, and knows at the end how it ended and what it cost.

    `raw` is what the model has written, `stopped` says that the rest of it is not wanted.
    """

    def __init__(self, form: AnswerForm, *, stops: Sequence[str], top_logprobs: int = 0) -> None:
        self.raw = ""
        self._reader = FormReader(form)
        self._stops = StopStrings(stops)
        self._top = top_logprobs
        self._waiting: list[WrittenToken] = []
        self._ended: str | None = None
        self._timings: Mapping[str, Any] = {}
        self._thought = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._stops.met

    @property
    def finish_reason(self) -> FinishReason:
        """How it ended."""
        if self._ended == "length":
            return "length"
        return "tool_calls" if self._reader.calls else "stop"

    @property
    def usage(self) -> ReplyUsage:
        """Tokens that were read and written; `cached_tokens` are those that need not be read."""
        cached = int(self._timings.get("cache_n", 0))
        return ReplyUsage(
            prompt_tokens=cached + int(self._timings.get("prompt_n", 0)),
            completion_tokens=int(self._timings.get("predicted_n", 0)),
            cached_tokens=cached,
            reasoning_tokens=self._thought,
        )

    def take(self, event: Mapping[str, Any]) -> Iterator[TextPiece | CallPiece]:
        """Yield the pieces in an event. Raises `FormBroken`."""
        self._timings = event.get("timings") or self._timings
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            self._thought += bool(delta.get("reasoning_content"))
            self._ended = choice.get("finish_reason") or self._ended
            written = delta.get("content") or ""
            if not written:
                continue
            self.raw += written
            tokens = (choice.get("logprobs") or {}).get("content") or ()
            for piece in self._reader.feed(written):
                if isinstance(piece, CallPiece):
                    yield piece
                else:
                    yield from self._show(piece.text, tokens)

    def finish(self) -> Iterator[TextPiece]:
        """Yield what was held back. Raises `FormBroken` if the model ended where it may not."""
        if self.stopped:
            return
        if self._ended != "length":
            self._reader.finish()
        rest = self._stops.flush()
        if rest:
            yield TextPiece(rest, tuple(self._waiting))

    def _show(self, text: str, tokens: Sequence[Mapping[str, Any]]) -> Iterator[TextPiece]:
        self._waiting += [self._rated(token) for token in tokens]
        shown = self._stops.feed(text)
        if shown:
            rated, self._waiting = tuple(self._waiting), []
            yield TextPiece(shown, rated)

    def _rated(self, token: Mapping[str, Any]) -> WrittenToken:
        tops = [RatedToken(**_facts(top)) for top in token.get("top_logprobs") or ()]
        return WrittenToken(**_facts(token), top_logprobs=tuple(tops[: self._top]))


def _facts(token: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": token["token"], "logprob": token["logprob"], "bytes": tuple(token["bytes"])}
