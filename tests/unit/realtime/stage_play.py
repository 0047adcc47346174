"""A session without a driver: what a client does and what engines say is played by the test, event by event."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pydantic
from openai.types.realtime.realtime_server_event import RealtimeServerEvent

from antiphon.realtime.session_object import Defaults, Known, new_session
from antiphon.schemas import RealtimeJob, Reply, ReplyDelta, ToolCallDelta, Transcript
from services.realtime.session.commands import Command, Respond, Say, Transcribe
from services.realtime.session.conversation import Conversation
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import (
    Answered,
    Appended,
    Began,
    ClientEvent,
    Happening,
    Heard,
    Resumed,
    Said,
    SaidUpTo,
    Sounded,
    Wrote,
)

FRAME = 512
BEGAN_MS = 1_790_000_000_000
LIMIT_S = 3600
SOUND_PER_CHARACTER = 3_200
"""Bytes of sound that a character of text makes here: a fifteenth of a second."""

C = TypeVar("C", bound=Command)

_SERVER_EVENT: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RealtimeServerEvent)


def known_here() -> Known:
    """Return what the installation of these tests has."""
    return Known(
        voices=("marin", "cedar", "alloy"), is_transcriber=lambda name: "transcribe" in name or "whisper" in name
    )


def facts_here(**changes: Any) -> Facts:
    """Return the facts of a session."""
    facts: dict[str, Any] = {
        "session_id": "sess_1",
        "tenant": "default",
        "locked": False,
        "known": known_here(),
        "model": "gpt-realtime",
        "speech_model": "kokoro",
        "transcriber": "whisper-base",
    }
    return Facts(**facts | changes)


def validated(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the official client takes it. Fails for one that it would not take."""
    sent = {**event, "delta": "AAAA"} if isinstance(event.get("delta"), bytes) else event
    parsed = _SERVER_EVENT.validate_python(sent)
    assert parsed.type == event["type"]
    return event


class Play:
    """One session. Commands gather in `commands` until they are taken."""

    def __init__(self, kind: str = "realtime", *, update: dict[str, Any] | None = None, **facts: Any) -> None:
        self.facts = facts_here(**facts)
        session = new_session(
            kind,  # type: ignore[arg-type]
            session_id="sess_1",
            model="gpt-realtime" if kind == "realtime" else None,
            expires_at=BEGAN_MS // 1000 + LIMIT_S,
            defaults=Defaults(instructions="Be brief.", transcription_model="whisper-1"),
        )
        self.now_ms = BEGAN_MS
        self.events: list[dict[str, Any]] = []
        self.commands: list[Command] = []
        self.snapshot: dict[str, bytes] = {}
        self.machine = Conversation.new(RealtimeJob(id="sess_1", session=session), self.facts, now_ms=self.now_ms)
        self.happen(Began())
        if update is not None:
            self.client("session.update", session={"type": kind, **update})
            assert "session.updated" in self.types(), self.events[-1]

    def happen(self, *happenings: Happening) -> list[dict[str, Any]]:
        """Let things happen; return the events they lead to."""
        found = []
        for happening in happenings:
            effects = self.machine.step(happening, self.now_ms)
            found += [validated(event) for event in effects.events]
            self.commands += effects.commands
        self.events += found
        return found

    def client(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Send a client event."""
        return self.happen(ClientEvent({"type": kind, **fields}))

    def append(self, ms: int, *, voice: bool) -> list[dict[str, Any]]:
        """Append audio in which somebody speaks, or nobody does."""
        frames = math.ceil(ms / 32)
        return self.happen(*(Appended(FRAME, (0.9 if voice else 0.05,)) for _ in range(frames)))

    def take_over(self) -> list[dict[str, Any]]:
        """Go on in another worker, from what this one has written down."""
        self.note()
        self.machine = Conversation.load(self.snapshot, self.facts)
        self.commands.clear()
        return self.happen(Resumed())

    def note(self) -> None:
        """Write down what has changed."""
        for name, value in self.machine.changes().items():
            if value is None:
                self.snapshot.pop(name, None)
            else:
                self.snapshot[name] = value

    def ordered(self, kind: type[C]) -> C:
        """Take the only command of this kind that was given."""
        found = [command for command in self.commands if isinstance(command, kind)]
        assert len(found) == 1, found
        self.commands.remove(found[0])
        return found[0]

    def types(self, events: Iterable[dict[str, Any]] | None = None) -> list[str]:
        """Return the types of events, of all so far if none are given."""
        return [event["type"] for event in (self.events if events is None else events)]

    def last(self, kind: str) -> dict[str, Any]:
        """Return the latest event of a type."""
        return next(event for event in reversed(self.events) if event["type"] == kind)

    # -- engines -------------------------------------------------------------------------------------------------------

    def hear(self, text: str) -> list[dict[str, Any]]:
        """Recognise what was asked for."""
        asked = self.ordered(Transcribe)
        return self.happen(Heard(asked.item_id, asked.hearing, transcript(text)))

    def write(self, *pieces: str, finish: str = "stop") -> list[dict[str, Any]]:
        """Answer what was asked for."""
        asked = self.ordered(Respond)
        found = self.happen(
            *(Wrote(asked.response_id, number, ReplyDelta(text=piece)) for number, piece in enumerate(pieces))
        )
        reply = Reply(text="".join(pieces), finish_reason=finish)
        return found + self.happen(Answered(asked.response_id, reply))

    def call(self, name: str, arguments: str, *, call_id: str = "call_1") -> list[dict[str, Any]]:
        """Answer by calling a tool."""
        asked = self.ordered(Respond)
        half = len(arguments) // 2
        first = ToolCallDelta(index=0, id=call_id, name=name, arguments=arguments[:half])
        rest = ToolCallDelta(index=0, arguments=arguments[half:])
        found = self.happen(
            *(
                Wrote(asked.response_id, number, ReplyDelta(tool_calls=(delta,)))
                for number, delta in enumerate((first, rest))
            )
        )
        return found + self.happen(Answered(asked.response_id, Reply(finish_reason="tool_calls")))

    def say(self, *, most_bytes: int | None = None) -> list[dict[str, Any]]:
        """Speak what was asked for, to its end or so far."""
        asked = self.ordered(Say)
        sound = bytes(SOUND_PER_CHARACTER * len(asked.text))[:most_bytes]
        spoken = self.happen(
            *(
                Sounded(asked.response_id, asked.saying, start, sound[start : start + 9_600])
                for start in range(0, len(sound), 9_600)
            )
        )
        if most_bytes is not None:
            return spoken
        return spoken + self.happen(
            SaidUpTo(asked.response_id, asked.saying, len(asked.text)), Said(asked.response_id, asked.saying)
        )


def transcript(text: str, *, duration_s: float = 1.0) -> Transcript:
    """Return what a recogniser gives."""
    return Transcript(task="transcribe", language="en", duration=duration_s, text=text, output_tokens=len(text) // 4)


Check = Callable[[dict[str, Any]], bool]
