"""A conversation, or a transcription of one: the state machine that puts its parts together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from pydantic import TypeAdapter

from antiphon.errors import AntiphonError, InvalidValue
from antiphon.given import missing
from antiphon.realtime.refusals import RealtimeRefusal
from antiphon.realtime.session_object import merge_session, shown_session
from antiphon.schemas import ErrorInfo, RealtimeJob
from services.realtime.session.commands import End, Listen
from services.realtime.session.conversation_items import ConversationItems
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import (
    Answered,
    Appended,
    AudioFound,
    Began,
    ClientEvent,
    ClientLeft,
    Happening,
    Heard,
    HeardMore,
    Judged,
    NotAnswered,
    NotHeard,
    NotSaid,
    Refused,
    Resumed,
    Said,
    SaidUpTo,
    Sounded,
    Spoke,
    Ticked,
    ToolAnswered,
    ToolsListed,
    ToolsNotListed,
    Wrote,
)
from services.realtime.session.hearing import Hearing
from services.realtime.session.machine import Effects
from services.realtime.session.responses import Responses
from services.realtime.session.stage import Stage
from services.realtime.session.state import Core, Item
from services.realtime.session.toolbox import Toolbox
from services.realtime.session.turns import Turns

_CORE = TypeAdapter(Core)
_ITEM = TypeAdapter(Item)
_CORE_FIELD = "core"
_ITEM_FIELD = "item:"
_MOST_EVENT_ID = 512

EXPIRED = 1001


class Conversation:
    """A session of the type `realtime` or `transcription`."""

    def __init__(self, core: Core, items: dict[str, Item], facts: Facts) -> None:
        self._stage = stage = Stage(core, items, facts)
        self._items = ConversationItems(stage)
        self._toolbox = Toolbox(stage, self._items)
        self._hearing = Hearing(stage, self._known)
        self._responses = Responses(stage, self._items, self._hearing, self._toolbox)
        self._turns = Turns(
            stage,
            self._hearing,
            began=self._speech_began,
            commit=self._commit,
            ended=self._turn_ended,
            needed=self._answers,
        )
        self._wants: dict[str, Callable[[Mapping[str, Any], str | None], None]] = {
            "session.update": self._update,
            "input_audio_buffer.commit": lambda event, event_id: self._turns.commit(),
            "input_audio_buffer.clear": lambda event, event_id: self._turns.clear(),
            "output_audio_buffer.clear": self._refuse_output_buffer,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._items.retrieve,
            "conversation.item.truncate": lambda event, event_id: self._items.truncate(event),
            "conversation.item.delete": self._delete_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    @classmethod
    def new(cls, job: RealtimeJob, facts: Facts, *, now_ms: int) -> Conversation:
        """Return a session at its beginning."""
        core = Core(session=dict(job.session), conversation_id="", began_ms=now_ms)
        conversation = cls(core, {}, facts)
        core.conversation_id = conversation._stage.new_id("conv")
        return conversation

    @classmethod
    def load(cls, snapshot: Mapping[str, bytes], facts: Facts) -> Conversation:
        """Return a session where another worker has left it."""
        core = _CORE.validate_json(snapshot[_CORE_FIELD])
        items = {
            name.removeprefix(_ITEM_FIELD): _ITEM.validate_json(data)
            for name, data in snapshot.items()
            if name.startswith(_ITEM_FIELD)
        }
        return cls(core, items, facts)

    # -- the protocol of machines --------------------------------------------------------------------------------------

    @property
    def wake_at_ms(self) -> int | None:
        """When `Ticked` is wanted."""
        core = self._stage.core
        if core.ended:
            return None
        expires_ms: int = core.session["expires_at"] * 1000
        others = (core.idle_at_ms, self._responses.wake_at_ms)
        return min([expires_ms, *(moment for moment in others if moment is not None)])

    @property
    def audio_from(self) -> int:
        """The first position of the input that may still be asked for."""
        return self._turns.audio_from

    def sound_format(self, response_id: str | None) -> str:
        """Return what the sound of a response is sent in."""
        response = self._stage.core.responses.get(response_id or "")
        settings = response.settings if response is not None else self._stage.core.session
        output = settings["audio"].get("output") or {}
        return str((output.get("format") or {}).get("type", "audio/pcm"))

    @property
    def core(self) -> Core:
        """What is remembered, for who wants to look at it."""
        return self._stage.core

    def step(self, happening: Happening, now_ms: int) -> Effects:
        """Let something happen. Never raises for what a client sent."""
        stage = self._stage
        stage.effects = effects = Effects()
        stage.now_ms = max(now_ms, stage.now_ms)
        if not stage.core.ended:
            self._step(happening)
        return effects

    def changes(self) -> dict[str, bytes | None]:
        """Return what has changed since this was last asked."""
        stage = self._stage
        changes: dict[str, bytes | None] = {_CORE_FIELD: orjson.dumps(stage.core)}
        for item_id in stage.changed:
            item = stage.items.get(item_id)
            changes[f"{_ITEM_FIELD}{item_id}"] = None if item is None else orjson.dumps(item)
        stage.changed.clear()
        return changes

    # -- what happens --------------------------------------------------------------------------------------------------

    def _step(self, happening: Happening) -> None:
        match happening:
            case Appended(length=length, voice=voice):
                self._turns.append(length, voice)
            case ClientEvent(event=event):
                self._client_event(event)
            case Wrote() | Spoke() | Answered() | NotAnswered():
                self._responses.step(happening)
            case Sounded(response_id=response_id, saying=saying, start=start, pcm=pcm):
                self._responses.sounded(response_id, saying, start, pcm)
            case SaidUpTo(response_id=response_id, saying=saying, characters=characters):
                self._responses.said_up_to(response_id, saying, characters)
            case Said(response_id=response_id, saying=saying):
                self._responses.said(response_id, saying)
            case NotSaid(response_id=response_id, error=error):
                self._responses.not_said(response_id, error)
            case Heard() | HeardMore() | NotHeard():
                self._hearing.step(happening)
            case Judged(turn=asked, probability=probability):
                self._turns.judged(asked, probability)
            case _:
                self._rare(happening)

    def _rare(self, happening: Happening) -> None:
        match happening:
            case Began():
                self._stage.order(self._listen())
                self._stage.emit("session.created", session=shown_session(self._stage.core.session))
                self._toolbox.refresh()
            case Resumed():
                self._stage.order(self._listen())
                self._turns.resume()
                self._hearing.resume()
                self._toolbox.resume()
                self._responses.resume()
            case Ticked():
                self._tick()
            case Refused(error=error, event_id=event_id):
                self._stage.complain(error, event_id)
            case AudioFound(item_id=item_id, parts=parts, event_id=event_id):
                try:
                    self._items.found(item_id, parts, event_id)
                except AntiphonError as refusal:
                    self._stage.complain(refusal.info(), event_id)
            case ToolsListed(item_id=item_id, tools=tools):
                self._toolbox.listed(item_id, tools)
            case ToolsNotListed(item_id=item_id, error=error):
                self._toolbox.not_listed(item_id, error)
            case ToolAnswered(item_id=item_id, output=output, error=problem):
                self._responses.tool_answered(item_id, output, problem)
            case ClientLeft():
                self._stage.core.ended = True

    def _client_event(self, event: Mapping[str, Any]) -> None:
        event_id = event.get("event_id")
        told_id = event_id if isinstance(event_id, str) else None
        try:
            if event_id is not None and (told_id is None or len(told_id) > _MOST_EVENT_ID):
                told_id = None
                raise InvalidValue(
                    f"Invalid 'event_id': expected a string of at most {_MOST_EVENT_ID} characters.", param="event_id"
                )
            self._wanted(event)(event, told_id)
        except AntiphonError as error:
            self._stage.complain(error.info(), told_id)

    def _wanted(self, event: Mapping[str, Any]) -> Callable[[Mapping[str, Any], str | None], None]:
        kind = event.get("type")
        if kind is None:
            raise RealtimeRefusal("The 'type' field is missing.", code="invalid_event", param="type")
        wanted = self._wants.get(kind) if isinstance(kind, str) else None
        if wanted is None:
            known = ", ".join(f"'{name}'" for name in sorted({*self._wants, "input_audio_buffer.append"}))
            raise InvalidValue(f"Invalid value: '{str(kind)[:64]}'. Supported values are: {known}.", param="type")
        return wanted

    # -- what clients want ---------------------------------------------------------------------------------------------

    def _update(self, event: Mapping[str, Any], event_id: str | None) -> None:
        stage = self._stage
        if "session" not in event:
            raise missing("session")
        before = stage.core.session
        session = merge_session(before, event["session"], known=stage.facts.known, has_spoken=stage.core.has_spoken)
        if stage.facts.locked and session != before:
            raise RealtimeRefusal(
                "The configuration of this session is locked: it cannot be changed by its client.",
                code="session_locked",
                param="session",
            )
        old_input, new_input = before["audio"]["input"], session["audio"]["input"]
        buffer = stage.core.buffer
        if old_input["format"] != new_input["format"] and buffer.stop > buffer.start and not self._is_idle():
            raise InvalidValue(
                "The input format cannot be changed while there is audio in the input buffer.",
                param="session.audio.input.format",
            )
        listens = self._listen()
        stage.core.session = session
        if self._listen() != listens:
            stage.order(self._listen())
        if old_input.get("turn_detection") != new_input.get("turn_detection"):
            self._turns.tune()
            if not (new_input.get("turn_detection") or {}).get("idle_timeout_ms"):
                stage.core.idle_at_ms = None
        stage.emit("session.updated", session=shown_session(session))
        self._toolbox.refresh()

    def _create_item(self, event: Mapping[str, Any], event_id: str | None) -> None:
        if "item" not in event:
            raise missing("item")
        item = self._items.create(event)
        wire = item.wire
        if wire["type"] == "mcp_approval_response" and wire["approve"]:
            self._responses.go_on_after_approval(wire["approval_request_id"])

    def _delete_item(self, event: Mapping[str, Any], event_id: str | None) -> None:
        self._items.delete(event)
        self._responses.recheck()

    def _create_response(self, event: Mapping[str, Any], event_id: str | None) -> None:
        self._require_conversation("response.create")
        self._responses.create(event)

    def _cancel_response(self, event: Mapping[str, Any], event_id: str | None) -> None:
        self._require_conversation("response.cancel")
        self._responses.cancel(event)

    def _refuse_output_buffer(self, event: Mapping[str, Any], event_id: str | None) -> None:
        raise InvalidValue(
            "'output_audio_buffer.clear' is for sessions whose audio does not travel over the WebSocket.", param="type"
        )

    def _require_conversation(self, kind: str) -> None:
        if self._stage.core.session["type"] != "realtime":
            raise InvalidValue(f"'{kind}' is not supported in a transcription session.", param="type")

    # -- turns ---------------------------------------------------------------------------------------------------------

    def _speech_began(self) -> None:
        self._stage.core.idle_at_ms = None
        if (self._turns.detection or {}).get("interrupt_response", True):
            self._responses.interrupt()

    def _commit(self, item: Item) -> None:
        """Put an item of the input into the conversation."""
        order = self._stage.core.order
        self._stage.emit(
            "input_audio_buffer.committed",
            item_id=item.wire["id"],
            previous_item_id=order[-1] if order else None,
        )
        self._items.insert(item)

    def _turn_ended(self) -> None:
        if self._answers():
            self._responses.create_automatic()

    def _answers(self) -> bool:
        """Tell whether the end of a turn is answered without being asked."""
        if self._stage.core.session["type"] != "realtime":
            return False
        return bool((self._turns.detection or {}).get("create_response", True)) and self._turns.detection is not None

    def _known(self, item_id: str, error: ErrorInfo | None) -> None:
        self._responses.known(item_id, error)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        stage, core = self._stage, self._stage.core
        if stage.now_ms >= core.session["expires_at"] * 1000:
            self._expire()
            return
        if core.idle_at_ms is not None and stage.now_ms >= core.idle_at_ms:
            core.idle_at_ms = None
            if core.buffer.turn is None and stage.active is None:
                self._turns.time_out()
                if self._answers():
                    self._responses.create_automatic(silent=True)
        self._responses.time_out()

    def _expire(self) -> None:
        core = self._stage.core
        minutes = round((core.session["expires_at"] * 1000 - core.began_ms) / 60_000)
        message = f"Your session hit the maximum duration of {minutes} minutes."
        told = {
            "type": "invalid_request_error",
            "code": "session_expired",
            "message": message,
            "param": None,
            "event_id": None,
        }
        self._stage.emit("error", error=told)
        self._stage.order(End(EXPIRED, "session_expired"))
        core.ended = True

    # -- inside --------------------------------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        """Tell whether the buffer holds nothing but what was before speech."""
        return self._turns.detection is not None and self._stage.core.buffer.turn is None

    def _listen(self) -> Listen:
        heard = self._stage.core.session["audio"]["input"]
        reduction = heard.get("noise_reduction")
        return Listen(
            heard["format"]["type"],
            detect=heard.get("turn_detection") is not None,
            noise_reduction=reduction["type"] if reduction else None,
        )
