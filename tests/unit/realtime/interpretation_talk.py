"""A translation session without anything around it: the test is its client, its clock and those who work for it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from openai.types.realtime.realtime_translation_server_event import RealtimeTranslationServerEvent
from pydantic import TypeAdapter

from antiphon.audio.speech_gate import FRAME_SAMPLES
from antiphon.realtime.session_object import Known
from antiphon.realtime.translation_object import new_translation_session
from antiphon.schemas import ErrorInfo, RealtimeJob, Reply, Transcript
from services.realtime.interpreting.interpretation import Interpretation
from services.realtime.session.commands import (
    Command,
    End,
    Respond,
    Say,
    StopResponding,
    StopTranscribing,
    Transcribe,
)
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import (
    Answered,
    Appended,
    Began,
    ClientEvent,
    Happening,
    Heard,
    NotAnswered,
    NotHeard,
    NotSaid,
    Resumed,
    Said,
    Sounded,
)

SESSION_ID = "sess_0123456789abcdefghijk"
EXPIRES_S = 4_000
VOICED, SILENT = 0.9, 0.01
PAUSE = 12
"""Frames that end an utterance."""
BROKEN = ErrorInfo(message="It broke.", code="internal_error")

_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeTranslationServerEvent)


def facts(**changes: Any) -> Facts:
    """Return an installation that speaks English, Spanish and Japanese."""
    given: dict[str, Any] = {
        "session_id": SESSION_ID,
        "tenant": "default",
        "locked": False,
        "known": Known(voices=None, is_transcriber=lambda name: name == "whisper-1"),
        "model": "an-llm",
        "speech_model": "a-voice",
        "transcriber": "whisper-base",
        "translator": "gpt-realtime-translate",
        "spoken_languages": ("en", "es", "ja"),
    }
    return Facts(**{**given, **changes})


class Talk:
    """Steps a session, checks every event that it tells, and keeps what is asked of the outside until it is done."""

    def __init__(self, *, facts: Facts = facts(), handed_over: bool = False) -> None:  # noqa: B008
        session = new_translation_session(session_id=SESSION_ID, model="gpt-realtime-translate", expires_at=EXPIRES_S)
        job = RealtimeJob(id=SESSION_ID, session=session)
        self.facts = facts
        self.now_ms = 0
        self.machine = Interpretation.new(job, facts, now_ms=0)
        self.kept: dict[str, bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.commands: list[Command] = []
        self.open: dict[tuple[str, int], Transcribe | Respond | Say] = {}
        self._handed_over = handed_over
        self.step(Began())

    # -- what happens --------------------------------------------------------------------------------------------------

    def step(self, happening: Happening) -> list[dict[str, Any]]:
        """Let something happen, and return what the client is told."""
        effects = self.machine.step(happening, self.now_ms)
        for event in effects.events:
            self._check(event)
        self.events += effects.events
        for name, value in self.machine.changes().items():
            if value is None:
                self.kept.pop(name, None)
            else:
                self.kept[name] = value
        self.commands += effects.commands
        for command in effects.commands:
            self._note(command)
        if self._handed_over and not isinstance(happening, Resumed):
            self.take_over()
        return effects.events

    def take_over(self) -> None:
        """Go on with another machine, that knows only what was kept."""
        self.machine = Interpretation.load(self.kept, self.facts)
        self.step(Resumed())

    def send(self, type: str, **fields: Any) -> list[dict[str, Any]]:
        """Be the client."""
        return self.step(ClientEvent({"type": type, **fields}))

    def update(self, *, language: str | None = None, **input: Any) -> list[dict[str, Any]]:
        """Change the session."""
        audio: dict[str, Any] = {"input": input}
        if language:
            audio["output"] = {"language": language}
        return self.send("session.update", event_id="mine", session={"audio": audio})

    def hear(self, voice: Iterable[float]) -> None:
        """Append so many frames, one by one."""
        for probability in voice:
            self.step(Appended(FRAME_SAMPLES, (probability,)))

    def speak(self, frames: int = 40) -> None:
        """Say something, and pause."""
        self.hear([VOICED] * frames + [SILENT] * PAUSE)

    # -- what is done --------------------------------------------------------------------------------------------------

    def orders(self, kind: type[Any]) -> list[Any]:
        """Return what is open of one kind, in the order in which it was ordered."""
        return [command for command in self.open.values() if isinstance(command, kind)]

    def hearing(self, number: int, hearing: int) -> Transcribe:
        """Return an open recognition of the n-th utterance."""
        found = next(
            it for it in self.orders(Transcribe) if it.item_id.endswith(f"_{number}") and it.hearing == hearing
        )
        assert isinstance(found, Transcribe)
        return found

    def recognise(self, order: Transcribe, text: str, language: str = "es") -> None:
        self.open.pop((order.item_id, order.hearing), None)
        task = "translate" if order.translate else "transcribe"
        transcript = Transcript.model_validate({"task": task, "language": language, "duration": 1.0, "text": text})
        self.step(Heard(order.item_id, order.hearing, transcript))

    def translate(self, order: Respond, text: str) -> None:
        self.open.pop((order.response_id, -1), None)
        self.step(Answered(order.response_id, Reply(text=text)))

    def sound(self, order: Say, pcm: bytes, *, start: int | None = None) -> None:
        self.step(Sounded(order.response_id, order.saying, order.after if start is None else start, pcm))

    def finish(self, order: Say) -> None:
        self.open.pop((order.response_id, order.saying), None)
        self.step(Said(order.response_id, order.saying))

    def fail(self, order: Transcribe | Respond | Say) -> None:
        match order:
            case Transcribe():
                self.open.pop((order.item_id, order.hearing), None)
                self.step(NotHeard(order.item_id, order.hearing, BROKEN))
            case Respond():
                self.open.pop((order.response_id, -1), None)
                self.step(NotAnswered(order.response_id, BROKEN))
            case Say():
                self.open.pop((order.response_id, order.saying), None)
                self.step(NotSaid(order.response_id, order.saying, BROKEN))

    # -- what was told -------------------------------------------------------------------------------------------------

    def told(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == type]

    @property
    def read(self) -> str:
        """The translation, as the client has it."""
        return "".join(event["delta"] for event in self.told("session.output_transcript.delta"))

    @property
    def read_input(self) -> str:
        """What was said, as the client has it."""
        return "".join(event["delta"] for event in self.told("session.input_transcript.delta"))

    @property
    def listened(self) -> bytes:
        """The sound that the client has."""
        return b"".join(event["delta"] for event in self.told("session.output_audio.delta"))

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [event["error"] for event in self.told("error")]

    @property
    def ended(self) -> End | None:
        return next((command for command in self.commands if isinstance(command, End)), None)

    def _check(self, event: dict[str, Any]) -> None:
        sent = dict(event)
        if isinstance(event.get("delta"), bytes):
            sent["delta"] = base64.b64encode(event["delta"]).decode()
        parsed = _EVENTS.validate_python(sent, strict=True)
        assert parsed.type == event["type"] and not parsed.model_extra
        assert all(event["event_id"] != before["event_id"] for before in self.events)
        assert not self.told("session.closed"), "nothing comes after session.closed"

    def _note(self, command: Command) -> None:
        match command:
            case Transcribe():
                self.open[command.item_id, command.hearing] = command
            case Respond():
                self.open[command.response_id, -1] = command
            case Say():
                self.open[command.response_id, command.saying] = command
            case StopTranscribing():
                self.open.pop((command.item_id, command.hearing), None)
            case StopResponding():
                for key in [key for key in self.open if key[0] == command.response_id]:
                    del self.open[key]
            case _:
                pass
