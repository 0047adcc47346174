"""A machine that is easy to follow: it echoes what a session is told, and numbers everything it says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import orjson

from antiphon.schemas import Message, RealtimeJob, RecognitionOptions, RespondJob, TextPart
from services.realtime.session.commands import (
    Command,
    CutAudio,
    End,
    FindAudio,
    KeepAudio,
    Listen,
    Respond,
    Say,
    StopResponding,
    Transcribe,
)
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import (
    Answered,
    Appended,
    AudioFound,
    Began,
    ClientEvent,
    Happening,
    Heard,
    HeardMore,
    NotAnswered,
    NotHeard,
    NotSaid,
    Refused,
    Resumed,
    Said,
    SaidUpTo,
    Sounded,
    Ticked,
    Wrote,
)
from services.realtime.session.machine import Effects

SECOND = 16_000


class Dead(BaseException):
    """What a worker dies of: nobody on its way catches it, and nothing is settled."""


class Echoes:
    """Has every second of audio recognised; says, writes, wakes, fails and dies as it is told."""

    def __init__(self, state: dict[str, Any], facts: Facts) -> None:
        self._state = state
        self._facts = facts
        self._effects = Effects()

    @classmethod
    def new(cls, job: RealtimeJob, facts: Facts, *, now_ms: int) -> Self:
        state = {
            "said": 0,
            "position": 0,
            "cut": 0,
            "wake_at_ms": None,
            "format": job.session["audio"]["output"]["format"]["type"],
            "sayings": {},
            "answers": {},
            "hearings": {},
        }
        return cls(state, facts)

    @classmethod
    def load(cls, snapshot: Mapping[str, bytes], facts: Facts) -> Self:
        return cls(orjson.loads(snapshot["state"]), facts)

    @property
    def wake_at_ms(self) -> int | None:
        wake_at_ms: int | None = self._state["wake_at_ms"]
        return wake_at_ms

    @property
    def audio_from(self) -> int:
        cut: int = self._state["cut"]
        return cut

    def sound_format(self, response_id: str | None) -> str:
        format: str = self._state["format"]
        return format

    def changes(self) -> Mapping[str, bytes | None]:
        return {"state": orjson.dumps(self._state)}

    def step(self, happening: Happening, now_ms: int) -> Effects:
        self._effects = Effects()
        state = self._state
        match happening:
            case Began():
                self._tell("session.created")
                self._order(Listen("audio/pcm", detect=True, noise_reduction=None))
            case Resumed():
                for item_id, (start, stop) in state["hearings"].items():
                    self._order(self._transcribe(item_id, start, stop, kept=True))
                for response_id, (text, had) in state["sayings"].items():
                    self._order(self._say(response_id, text, after=had))
                for response_id, (text, seq) in state["answers"].items():
                    self._order(self._respond(response_id, text, after=seq))
            case Appended(length, _):
                state["position"] += length
                while state["position"] - state["cut"] >= SECOND:
                    self._commit()
            case ClientEvent(event):
                self._obey(event, now_ms)
            case Refused(error, event_id):
                self._tell("refused", code=error.code, of=event_id)
            case HeardMore(item_id, _, text):
                self._tell("heard.delta", item_id=item_id, text=text)
            case Heard(item_id, _, transcript):
                if state["hearings"].pop(item_id, None):
                    self._tell("heard", item_id=item_id, text=transcript.text, task=transcript.task)
            case NotHeard(item_id, _, error):
                del state["hearings"][item_id]
                self._tell("not_heard", item_id=item_id, message=error.message)
            case Wrote(response_id, seq, delta):
                state["answers"][response_id][1] = seq + 1
                self._tell("wrote", response_id=response_id, text=delta.text)
            case Answered(response_id, reply):
                del state["answers"][response_id]
                self._tell("answered", response_id=response_id, text=reply.text)
            case NotAnswered(response_id, error):
                del state["answers"][response_id]
                self._tell("not_answered", response_id=response_id, code=error.code, message=error.message)
            case Sounded(response_id, _, start, pcm):
                assert start == state["sayings"][response_id][1]
                state["sayings"][response_id][1] += len(pcm)
                self._sound(response_id, pcm)
            case SaidUpTo(response_id, _, characters):
                self._tell("said_up_to", response_id=response_id, characters=characters)
            case Said(response_id, _):
                del state["sayings"][response_id]
                self._tell("response.output_audio.done", response_id=response_id, item_id=f"item_{response_id}")
                self._tell("response.done", response={"id": response_id})
            case NotSaid(response_id, _, error):
                del state["sayings"][response_id]
                self._tell("not_said", response_id=response_id, message=error.message)
            case AudioFound(item_id, event_id, parts):
                found = {str(index): [len(data), data[:64].hex()] for index, data in parts.items()}
                self._tell("found", item_id=item_id, of=event_id, parts=found)
            case Ticked():
                state["wake_at_ms"] = None
                self._tell("woke")
        return self._effects

    def _obey(self, event: Mapping[str, Any], now_ms: int) -> None:
        state = self._state
        match event["type"]:
            case "echo":
                self._tell("echo", of=event.get("event_id"))
            case "where":
                self._tell("here", pid=os.getpid(), position=state["position"])
            case "say":
                state["sayings"][event["id"]] = [event["text"], 0]
                self._order(self._say(event["id"], event["text"], after=0))
            case "ask":
                state["answers"][event["id"]] = [event["text"], 0]
                self._order(self._respond(event["id"], event["text"], after=0))
            case "hush":
                state["answers"].pop(event["id"], None)
                state["sayings"].pop(event["id"], None)
                self._order(StopResponding(event["id"]))
                self._tell("hushed")
            case "commit":
                self._commit()
            case "tune":
                state["cut"] = state["position"]
                self._order(Listen(event["format"], detect=True, noise_reduction=None))
            case "cut":
                self._order(CutAudio(event["item_id"], 0, event["end_ms"]))
                self._tell("cut")
            case "retrieve":
                self._order(FindAudio(event["item_id"], event.get("event_id")))
            case "wake":
                state["wake_at_ms"] = now_ms + event["ms"]
            case "break":
                raise RuntimeError("as it was told")
            case "die":
                raise Dead
            case "end":
                self._tell("ending")
                self._order(End(1000, "as it was told"))

    def _commit(self) -> None:
        state = self._state
        start, stop = state["cut"], min(state["cut"] + SECOND, state["position"])
        state["cut"] = stop
        item_id = f"item_{start}"
        state["hearings"][item_id] = [start, stop]
        self._tell("committed", item_id=item_id)
        self._order(KeepAudio(item_id, start, stop))
        self._order(self._transcribe(item_id, start, stop))

    def _transcribe(self, item_id: str, start: int, stop: int, *, kept: bool = False) -> Transcribe:
        return Transcribe(item_id, 0, start, stop, self._facts.transcriber, RecognitionOptions(language="en"), kept)

    def _say(self, response_id: str, text: str, *, after: int) -> Say:
        return Say(response_id, 0, text, self._facts.speech_model, "alloy", 1.0, after=after)

    def _respond(self, response_id: str, text: str, *, after: int) -> Respond:
        message = Message(role="user", content=(TextPart(text=text),))
        job = RespondJob(id=response_id, model="gpt-realtime", messages=(message,))
        return Respond(response_id, job, after=after)

    def _sound(self, response_id: str, pcm: bytes) -> None:
        self._tell(
            "response.output_audio.delta",
            response_id=response_id,
            item_id=f"item_{response_id}",
            content_index=0,
            delta=pcm,
        )

    def _tell(self, kind: str, **fields: Any) -> None:
        self._state["said"] += 1
        self._effects.events.append({"type": kind, "event_id": f"event_{self._state['said']}", **fields})

    def _order(self, command: Command) -> None:
        self._effects.commands.append(command)
