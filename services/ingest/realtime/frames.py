"""What a client sends, one message at a time, as it goes onto the bus."""

from __future__ import annotations

import asyncio
import binascii
from typing import Any, Literal

import orjson

from antiphon.bus import InputKind
from antiphon.errors import AntiphonError, InvalidValue
from antiphon.given import missing
from antiphon.realtime.refusals import RealtimeRefusal
from services.ingest.errors import told
from services.ingest.realtime.dialects import Interpreter

MAX_AUDIO_BYTES = 15 * 2**20
"""Of one append."""
MAX_MESSAGE_BYTES = 24 * 2**20
"""An append of the largest size in base64, with room for what is around it."""
_MAX_EVENT_ID = 512
_LARGE = 256 * 1024
"""From here on it takes milliseconds to make sense of a message."""
_NO_AUDIO = "Invalid 'audio'. Expected base64-encoded audio bytes, but got an invalid value."

Frame = tuple[InputKind, bytes]
AppendType = Literal["input_audio_buffer.append", "session.input_audio_buffer.append"]
"""The type of the events that bring sound."""


class FrameReader:
    """Reads the messages of one connection. `append` is the type of the events that bring sound."""

    def __init__(
        self,
        interpreter: Interpreter,
        *,
        append: AppendType,
    ) -> None:
        self._interpreter = interpreter
        self._append = append

    async def read(self, message: str | bytes) -> Frame | None:
        """Return what to write for a message, None if it brings nothing. What cannot be read becomes a refusal."""
        large = len(message) > _LARGE
        event_id: str | None = None
        try:
            event = await asyncio.to_thread(_event_of, message) if large else _event_of(message)
            event_id = _event_id(event)
            if event.get("type") == self._append:
                sound = await asyncio.to_thread(_sound_of, event) if large else _sound_of(event)
                return ("audio", sound) if sound else None
            return "event", self._translated(event, message)
        except AntiphonError as refusal:
            return "refused", orjson.dumps({"error": told(refusal).model_dump(), "event_id": event_id})

    def _translated(self, event: dict[str, Any], message: str | bytes) -> bytes:
        if not self._interpreter.speaks_beta:
            return message.encode() if isinstance(message, str) else message
        return orjson.dumps(self._interpreter.inward(event))


def _event_of(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, bytes):
        raise RealtimeRefusal("Events are sent as text messages, not as binary ones.", code="invalid_event")
    try:
        event = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise RealtimeRefusal("The message is not valid JSON.", code="invalid_json") from None
    if not isinstance(event, dict):
        raise RealtimeRefusal("An event must be a JSON object.", code="invalid_event")
    return event


def _event_id(event: dict[str, Any]) -> str | None:
    """Return the id that a refusal of this event names; one that is none is left to who judges the event."""
    event_id = event.get("event_id")
    return event_id if isinstance(event_id, str) and len(event_id) <= _MAX_EVENT_ID else None


def _sound_of(event: dict[str, Any]) -> bytes:
    audio = event.get("audio")
    if audio is None:
        raise missing("audio")
    if not isinstance(audio, str):
        raise InvalidValue(_NO_AUDIO, param="audio")
    # Told from its length, so that nothing is made of it.
    if len(audio) // 4 * 3 - audio.endswith("=") - audio.endswith("==") > MAX_AUDIO_BYTES:
        raise InvalidValue("Invalid 'audio'. An append may hold at most 15 MiB of audio.", param="audio")
    try:
        return binascii.a2b_base64(audio, strict_mode=True)
    except ValueError:
        raise InvalidValue(_NO_AUDIO, param="audio") from None
