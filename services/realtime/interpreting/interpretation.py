"""The state machine of a translation session: what is said goes in, what it means comes out, and nobody takes turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import orjson

from antiphon.audio.speech_gate import GateState, Span
from antiphon.errors import AntiphonError, InvalidValue
from antiphon.given import Given, missing, not_one_of, unknown
from antiphon.realtime.refusals import RealtimeRefusal
from antiphon.realtime.translation_object import merge_translation_session
from antiphon.schemas import ErrorInfo, RealtimeJob
from services.realtime.interpreting.cutting import Cutter, CutterState
from services.realtime.interpreting.interpreter import Interpreter
from services.realtime.interpreting.targets import check_target
from services.realtime.interpreting.teller import Teller
from services.realtime.interpreting.utterances import Utterance
from services.realtime.session.commands import End, Listen
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import (
    POSITIONS_PER_MS,
    Answered,
    Appended,
    Began,
    ClientEvent,
    ClientLeft,
    Happening,
    Heard,
    NotAnswered,
    NotHeard,
    NotSaid,
    Refused,
    Resumed,
    Said,
    Sounded,
    Ticked,
)
from services.realtime.session.kept import known, only
from services.realtime.session.machine import Effects

STALL_MS = 1_500
"""Input that stays away so long ends an utterance: who lets go of the key to talk sends no silence."""

_CLIENT_EVENTS = ("session.update", "session.input_audio_buffer.append", "session.close")
_LONGEST_EVENT_ID = 512
_FORMAT = "audio/pcm"
_NORMAL, _GOING_AWAY = 1000, 1001
_UTTERANCE = "utterance."
_INTERPRETER = ("count", "listener_ms", "context", "told")
"""What an interpreter remembers besides its utterances."""


class Interpretation:
    """One translation session."""

    def __init__(self, session: dict[str, Any], facts: Facts, stream: Mapping[str, Any]) -> None:
        """Begin with a session object and what `_stream` gave; made by `new` and `load`."""
        self.wake_at_ms: int | None = None
        self._session = session
        self._facts = facts
        self._teller = Teller(facts.session_id, stream["ids"])
        cutter = known(stream["cutter"], CutterState)
        self._cutter = Cutter(CutterState(**{**cutter, "gate": GateState(**known(cutter["gate"], GateState))}))
        utterances = [Utterance(**known(utterance, Utterance)) for utterance in stream["utterances"]]
        self._interpreter = Interpreter(self._teller, facts, utterances, **only(stream["interpreter"], _INTERPRETER))
        self._position: int = stream["position"]
        self._began_ms: int = stream["began_ms"]
        self._appended_ms: int = stream["appended_ms"]
        self._closing: bool = stream["closing"]
        self._ended: tuple[int, str] | None = stream["ended"] and tuple(stream["ended"])
        self._changed: dict[str, bytes | None] = {}
        self._kept_stream = b""

    @classmethod
    def new(cls, job: RealtimeJob, facts: Facts, *, now_ms: int) -> Self:
        """Return the machine of a new session, whose first happening is `Began`."""
        machine = cls(job.session, facts, {**_NEW, "began_ms": now_ms, "appended_ms": now_ms})
        machine._keep_session()
        return machine

    @classmethod
    def load(cls, snapshot: Mapping[str, bytes], facts: Facts) -> Self:
        """Return the machine that all changes so far make up; its first happening is `Resumed`."""
        utterances = [orjson.loads(value) for name, value in snapshot.items() if name.startswith(_UTTERANCE)]
        utterances.sort(key=lambda utterance: utterance["number"])
        stream = orjson.loads(snapshot["stream"])
        return cls(orjson.loads(snapshot["session"]), facts, {**_NEW, **stream, "utterances": utterances})

    @property
    def audio_from(self) -> int:
        """The first position of the input that may still be asked for."""
        needed = self._interpreter.needed_from
        if self._closing:
            return self._position if needed is None else needed
        return self._cutter.needed_from if needed is None else min(needed, self._cutter.needed_from)

    def sound_format(self, response_id: str | None) -> str:
        """Return what sound is sent in, which nobody chooses here."""
        return _FORMAT

    def step(self, happening: Happening, now_ms: int) -> Effects:
        """Let something happen. Never raises for what a client sent."""
        if isinstance(happening, Appended):
            self._append(happening, now_ms)
        elif self._ended is None:
            self._take(happening, now_ms)
            self._advance(now_ms)
        elif isinstance(happening, Resumed):
            self._teller.order(End(*self._ended))
        self._set_alarm()
        return self._teller.take()

    def changes(self) -> Mapping[str, bytes | None]:
        """Return what has changed since this was last asked."""
        changed, self._changed = self._changed, {}
        stream = orjson.dumps(self._stream())
        if stream != self._kept_stream:
            changed["stream"] = self._kept_stream = stream
        for number in self._interpreter.changed:
            utterance = self._interpreter.find(number)
            changed[f"{_UTTERANCE}{number}"] = None if utterance is None else orjson.dumps(utterance)
        self._interpreter.changed.clear()
        return changed

    def _stream(self) -> dict[str, Any]:
        return {
            "ids": self._teller.ids,
            "cutter": asdict(self._cutter.state),
            "interpreter": self._interpreter.state,
            "position": self._position,
            "began_ms": self._began_ms,
            "appended_ms": self._appended_ms,
            "closing": self._closing,
            "ended": self._ended,
        }

    def _keep_session(self) -> None:
        self._changed["session"] = orjson.dumps(self._session)

    # -- the input -----------------------------------------------------------------------------------------------------

    def _append(self, appended: Appended, now_ms: int) -> None:
        if self._closing or self._ended:
            return
        self._position += appended.length
        self._appended_ms = now_ms
        spans = self._cutter.push(appended.voice, self._position)
        for span in spans:
            self._add(span)
        self._interpreter.forget_before(self._position - self._facts.buffer_limit_ms * POSITIONS_PER_MS)
        if spans:
            self._advance(now_ms)

    def _add(self, span: Span) -> None:
        audio = self._session["audio"]
        transcription = audio["input"].get("transcription")
        self._interpreter.add(
            span,
            target=audio["output"]["language"],
            shown_by=transcription["model"] if transcription else None,
        )

    def _flush(self) -> None:
        if span := self._cutter.finish(self._position):
            self._add(span)

    # -- everything else -----------------------------------------------------------------------------------------------

    def _take(self, happening: Happening, now_ms: int) -> None:
        match happening:
            case Began():
                self._begin()
            case Resumed():
                self._appended_ms = now_ms
                self._listen()
                self._interpreter.resume(now_ms)
            case ClientEvent(event):
                self._read(event)
            case Refused(error, event_id):
                self._teller.complain(error, event_id)
            case Ticked():
                self._wake(now_ms)
            case ClientLeft():
                self._interpreter.stop()
                self._ended = (_NORMAL, "client_left")
            case _:
                self._take_work(happening)

    def _take_work(self, happening: Happening) -> None:
        match happening:
            case Heard(item_id, hearing, transcript):
                self._interpreter.heard(item_id, hearing, transcript)
            case NotHeard(item_id, hearing, error):
                self._interpreter.not_heard(item_id, hearing, error)
            case Answered(response_id, reply):
                self._interpreter.answered(response_id, reply)
            case NotAnswered(response_id, error):
                self._interpreter.not_answered(response_id, error)
            case Sounded(response_id, _, start, pcm):
                self._interpreter.sounded(response_id, start, pcm)
            case Said(response_id, _):
                self._interpreter.said(response_id)
            case NotSaid(response_id, _, error):
                self._interpreter.said(response_id, error)
            case _:
                pass  # the rest is for sessions that converse

    def _begin(self) -> None:
        self._teller.tell("session.created", session=self._session)
        self._listen()
        try:
            check_target(self._session["audio"]["output"]["language"], self._facts)
        except AntiphonError as refusal:
            self._teller.complain(refusal.info())

    def _listen(self) -> None:
        reduction = self._session["audio"]["input"].get("noise_reduction")
        self._teller.order(Listen(_FORMAT, detect=True, noise_reduction=reduction["type"] if reduction else None))

    def _wake(self, now_ms: int) -> None:
        if now_ms >= self._session["expires_at"] * 1000 > 0:
            minutes = round((self._session["expires_at"] * 1000 - self._began_ms) / 60_000)
            message = f"Your session hit the maximum duration of {minutes} minutes."
            self._teller.complain(ErrorInfo(message=message, type="invalid_request_error", code="session_expired"))
            self._end(_GOING_AWAY, "session_expired")
        elif now_ms >= self._appended_ms + STALL_MS:
            self._flush()

    def _advance(self, now_ms: int) -> None:
        if self._ended is not None:
            return
        self._interpreter.advance(now_ms)
        if self._closing and not self._interpreter.busy:
            self._teller.tell("session.closed")
            self._end(_NORMAL, "session_closed")

    def _end(self, code: int, reason: str) -> None:
        self._interpreter.stop()
        self._ended = (code, reason)
        self._teller.order(End(code, reason))

    def _set_alarm(self) -> None:
        times = []
        if self._ended is None and self._session["expires_at"] > 0:
            times.append(self._session["expires_at"] * 1000)
        if self._ended is None and not self._closing and self._cutter.speaking:
            times.append(self._appended_ms + STALL_MS)
        self.wake_at_ms = min(times, default=None)

    # -- what clients send ---------------------------------------------------------------------------------------------

    def _read(self, event: Mapping[str, Any]) -> None:
        given_id = event.get("event_id")
        event_id = given_id if isinstance(given_id, str) and len(given_id) <= _LONGEST_EVENT_ID else None
        try:
            if given_id != event_id:
                message = f"Invalid 'event_id': expected a string of at most {_LONGEST_EVENT_ID} characters."
                raise InvalidValue(message, param="event_id")
            match event.get("type"):
                case "session.update":
                    self._update(event)
                case "session.close":
                    self._flush()
                    self._closing = True
                case None:
                    raise RealtimeRefusal("The 'type' field is missing.", code="invalid_event", param="type")
                case str() as name:
                    raise not_one_of("type", name, _CLIENT_EVENTS)
                case other:
                    raise Given(other, "type").wrong_type("a string")
        except AntiphonError as refusal:
            self._teller.complain(refusal.info(), event_id)

    def _update(self, event: Mapping[str, Any]) -> None:
        if "session" not in event:
            raise missing("session")
        for name in event:
            if name not in {"type", "event_id", "session"}:
                raise unknown(str(name))
        is_transcriber = self._facts.known.is_transcriber
        merged = merge_translation_session(
            self._session, event["session"], languages=None, is_transcriber=is_transcriber
        )
        language = merged["audio"]["output"]["language"]
        if language != self._session["audio"]["output"]["language"]:
            check_target(language, self._facts)
        if self._facts.locked and merged != self._session:
            raise RealtimeRefusal(
                "The configuration of this session is locked: it cannot be changed by its client.",
                code="session_locked",
                param="session",
            )
        before, self._session = self._session, merged
        if merged["audio"]["input"]["noise_reduction"] != before["audio"]["input"]["noise_reduction"]:
            self._listen()
        self._keep_session()
        self._teller.tell("session.updated", session=self._session)


_NEW: Mapping[str, Any] = {
    "ids": 0,
    "cutter": asdict(CutterState()),
    "interpreter": {},
    "utterances": (),
    "position": 0,
    "closing": False,
    "ended": None,
}
