"""The turns of a session as its operator sees them: each a trace of its own, and the time that its stages took.

A turn begins at the end of speech, or rather with the first look at what may be one, and ends with its response; one
that is not answered ends when its words are known. All of it is read off what goes into the session's machine and what
comes out: neither the machine nor the snapshot knows of it, and a successor begins traces anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context

from antiphon.telemetry.instruments import TURN_SECONDS, TURNS
from services.realtime.session.commands import CallTool, Command, Respond, Say, StopTranscribing, Transcribe
from services.realtime.session.happenings import (
    Happening,
    Heard,
    NotAnswered,
    NotHeard,
    NotSaid,
    Resumed,
    Said,
    Sounded,
    Spoke,
    Wrote,
)
from services.realtime.session.machine import Effects, ServerEvent

_TRACER = trace.get_tracer("antiphon.realtime")
_NO_PARENT = Context()
_MOST_OPEN = 64
_ENDS = (Heard, NotHeard, Said, NotSaid, NotAnswered)
"""What may end a stage or a turn although the machine says nothing to it."""


@dataclass(slots=True, eq=False)
class _Turn:
    """A turn that is not over. Moments are seconds on the watch's clock; None for what has not happened."""

    span: trace.Span
    resumed: bool
    speech_ended_s: float | None = None
    heard_s: float | None = None
    asked_s: float | None = None
    first_token_s: float | None = None
    saying_s: float | None = None
    sounded_s: float | None = None
    answered: bool = False
    """Whether a response belongs to it."""
    names: set[str] = field(default_factory=set)
    """Ids of its items and its response."""

    def stages(self) -> dict[str, float]:
        """Return the seconds of those stages that it had from beginning to end."""
        spans = {
            "hear": (self.speech_ended_s, self.heard_s),
            "think": (self.asked_s, self.first_token_s),
            "speak": (self.saying_s, self.sounded_s),
            "answer": (self.speech_ended_s, self.sounded_s),
        }
        # Words may be known before it is certain that the speech is over.
        return {
            stage: max(0.0, end - begin)
            for stage, (begin, end) in spans.items()
            if begin is not None and end is not None
        }


class TurnWatch:
    """Watches the steps of one session. To be made where the session's own span is current.

    `item_of` names the item that a response is about, where nobody tells of the response itself: then a turn ends when
    it has been said, and its time says nothing about how soon a person is answered.
    """

    def __init__(
        self,
        session_id: str,
        *,
        item_of: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        tracer: trace.Tracer = _TRACER,
    ) -> None:
        self._session_id = session_id
        self._item_of = item_of
        self._clock = clock
        self._tracer = tracer
        session = trace.get_current_span().get_span_context()
        self._links = [trace.Link(session)] if session.is_valid else None
        self._turns: dict[str, _Turn] = {}
        """By the ids of their items and responses."""
        self._resuming = False
        self._committed: str | None = None
        """The item that this step has made of the input."""
        self._begun: _Turn | None = None
        """The turn whose response this step has begun."""

    def see(self, happening: Happening, effects: Effects) -> None:
        """Take a step of the machine."""
        if not effects.events and not effects.commands and not isinstance(happening, _ENDS):
            return
        self._resuming = isinstance(happening, Resumed)
        self._committed = self._begun = None
        self._happen(happening)
        for command in effects.commands:
            if isinstance(command, StopTranscribing):
                self._unhear(command.item_id)
        for event in effects.events:
            if event["type"] in _TOLD:
                self._tell(event)
        for command in effects.commands:
            self._order(command, happening)
        if self._committed is not None:
            self._end_if_heard(self._committed)

    def about(self, command: Command) -> AbstractContextManager[Any]:
        """Make what is done for a command part of its turn."""
        turn = self._turns.get(_name_of(command) or "")
        if turn is None:
            return nullcontext()
        return trace.use_span(turn.span, record_exception=False, set_status_on_exception=False)

    def close(self) -> None:
        """End what is open: nobody watches any more."""
        for turn in list(self._turns.values()):
            self._end(turn, "left")

    # -- what happens --------------------------------------------------------------------------------------------------

    def _happen(self, happening: Happening) -> None:
        match happening:
            case Heard(item_id=item_id) | NotHeard(item_id=item_id):
                if (turn := self._turns.get(item_id)) is not None:
                    turn.heard_s = self._clock()
                    if self._item_of is None or not _has_words(happening):
                        self._end_if_heard(item_id)
            case Wrote(response_id=response_id) | Spoke(response_id=response_id) | Sounded(response_id=response_id):
                if (turn := self._of_response(response_id)) is not None:
                    self._note_output(turn, is_sound=not isinstance(happening, Wrote))
            case Said() | NotSaid() | NotAnswered() if self._item_of is not None:
                if (turn := self._of_response(happening.response_id)) is not None:
                    self._end(turn, "completed" if isinstance(happening, Said) else "failed")

    def _note_output(self, turn: _Turn, *, is_sound: bool) -> None:
        if turn.first_token_s is None:
            turn.first_token_s = self._clock()
        if is_sound and turn.sounded_s is None:
            turn.sounded_s = self._clock()

    def _unhear(self, item_id: str) -> None:
        """The speaker goes on: what was heard so far is not all."""
        if (turn := self._turns.get(item_id)) is not None and turn.speech_ended_s is None:
            turn.heard_s = None

    # -- what is told --------------------------------------------------------------------------------------------------

    def _tell(self, event: ServerEvent) -> None:
        match event["type"]:
            case "input_audio_buffer.speech_stopped":
                self._end_speech(event["item_id"])
            case "input_audio_buffer.committed":
                self._committed = event["item_id"]
                self._end_speech(event["item_id"])
            case "input_audio_buffer.cleared":
                for turn in [turn for turn in self._turns.values() if turn.speech_ended_s is None]:
                    if not turn.answered:
                        self._end(turn, "cleared")
            case "response.created":
                self._begin_response(event["response"])
            case "response.output_item.added" if (made_by := self._turns.get(event["response_id"])) is not None:
                self._call(made_by, event["item"]["id"])
            case "response.done":
                self._end_response(event["response"])

    def _end_speech(self, item_id: str) -> None:
        turn = self._turns.get(item_id)
        if turn is not None and turn.speech_ended_s is None:
            turn.speech_ended_s = self._clock()

    def _begin_response(self, response: dict[str, Any]) -> None:
        # A response beside the conversation is nobody's answer.
        asked = self._unanswered() if response.get("conversation_id") else None
        if asked is not None:
            self._call(asked, response["id"])
        turn = asked or self._open(response["id"])
        if asked is None and self._committed is not None:
            turn.speech_ended_s = self._clock()
            self._call(turn, self._committed)
        turn.answered = True
        turn.span.set_attribute("gen_ai.response.id", response["id"])
        self._begun = turn

    def _unanswered(self) -> _Turn | None:
        """Return the latest turn that somebody may be going to answer."""
        turns = list(self._turns.values())
        return next((turn for turn in reversed(turns) if turn.speech_ended_s is not None and not turn.answered), None)

    def _end_response(self, response: dict[str, Any]) -> None:
        status = response.get("status", "completed")
        TURNS.labels(status).inc()
        if (turn := self._turns.get(response["id"])) is not None:
            self._end(turn, status)

    # -- what is ordered -----------------------------------------------------------------------------------------------

    def _order(self, command: Command, happening: Happening) -> None:
        match command:
            case Transcribe(item_id=item_id):
                self._order_hearing(item_id)
            case Respond(response_id=response_id):
                turn = self._of_response(response_id) or self._open(response_id)
                turn.asked_s = turn.asked_s or self._clock()
            case Say(response_id=response_id):
                turn = self._of_response(response_id) or self._open(response_id)
                turn.saying_s = turn.saying_s or self._clock()
            case CallTool(item_id=item_id) if item_id not in self._turns:
                called = self._begun or self._turns.get(getattr(happening, "response_id", ""))
                if called is not None:
                    self._call(called, item_id)

    def _order_hearing(self, item_id: str) -> None:
        if item_id in self._turns:
            return
        if self._begun is not None:
            # An answer needs to know what was said before.
            self._call(self._begun, item_id)
            return
        turn = self._open(item_id)
        turn.span.set_attribute("antiphon.item.id", item_id)
        if item_id == self._committed or self._item_of is not None:
            turn.speech_ended_s = self._clock()

    # -- turns ---------------------------------------------------------------------------------------------------------

    def _of_response(self, response_id: str) -> _Turn | None:
        turn = self._turns.get(response_id)
        if turn is None and self._item_of is not None:
            turn = self._turns.get(self._item_of(response_id))
            if turn is not None:
                self._call(turn, response_id)
        return turn

    def _open(self, name: str) -> _Turn:
        if len(self._turns) >= _MOST_OPEN:
            self._end(next(iter(self._turns.values())), "left")
        span = self._tracer.start_span(
            "realtime turn",
            context=_NO_PARENT,
            links=self._links,
            attributes={"gen_ai.conversation.id": self._session_id, "antiphon.turn.resumed": self._resuming},
        )
        turn = _Turn(span, self._resuming)
        self._call(turn, name)
        return turn

    def _call(self, turn: _Turn, name: str) -> None:
        turn.names.add(name)
        self._turns[name] = turn

    def _end_if_heard(self, item_id: str) -> None:
        turn = self._turns.get(item_id)
        if turn is not None and turn.speech_ended_s is not None and turn.heard_s is not None and not turn.answered:
            self._end(turn, "heard")

    def _end(self, turn: _Turn, status: str) -> None:
        for name in turn.names:
            self._turns.pop(name, None)
        span = turn.span
        span.set_attribute("antiphon.turn.status", status)
        if not turn.resumed:
            for stage, seconds in turn.stages().items():
                span.set_attribute(f"antiphon.turn.{stage}_ms", round(1000 * seconds, 1))
                if self._item_of is None:
                    TURN_SECONDS.labels(stage).observe(seconds)
        if status == "failed":
            span.set_attribute("error.type", status)
            span.set_status(trace.StatusCode.ERROR)
        span.end()


_TOLD = frozenset(
    {
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "input_audio_buffer.cleared",
        "response.created",
        "response.output_item.added",
        "response.done",
    }
)


def _name_of(command: Command) -> str | None:
    match command:
        case Transcribe(item_id=item_id) | CallTool(item_id=item_id):
            return item_id
        case Respond(response_id=response_id) | Say(response_id=response_id):
            return response_id
        case _:
            return None


def _has_words(happening: Heard | NotHeard) -> bool:
    return isinstance(happening, Heard) and bool(happening.transcript.text.strip())
