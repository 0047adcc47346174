"""Server events on their way to the client: as JSON, their sound in the format of the session."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from antiphon.audio.output_sound import OutputSound
from antiphon.bus import SessionOutput
from services.realtime.session.machine import ServerEvent

_SOUND = "response.output_audio.delta"
_SOUND_ENDS = "response.output_audio.done"
_MOST_REASON_BYTES = 123
"""What a WebSocket has room for."""


@dataclass(frozen=True, slots=True)
class SentSound:
    """Sound that a client is sent as part of an item, in the format of the session."""

    item_id: str
    index: int
    format: str
    data: bytes


@dataclass(slots=True)
class _Sounding:
    """A response's sound, which goes through one converter from its beginning to its end."""

    format: str
    converter: OutputSound
    event: ServerEvent = field(default_factory=dict)
    """Its last delta."""


class Outgoing:
    """What waits to be committed."""

    def __init__(self) -> None:
        self.outputs: list[SessionOutput] = []
        self._sounds: list[SentSound] = []
        self.spoken_bytes = 0
        """Of sound so far, as PCM at 24 kHz."""
        self.responses = 0
        """Responses that have ended so far."""
        self._soundings: dict[str | None, _Sounding] = {}

    def add(self, event: ServerEvent, *, format: str) -> None:
        """Add an event; `format` is that of the session's output."""
        delta = event.get("delta")
        if isinstance(delta, bytes):
            self._add_sound(event, delta, format)
            return
        kind = event["type"]
        if kind == _SOUND_ENDS:
            self._end_sound(event)
        elif kind == "response.done":
            self.responses += 1
            self._soundings.pop(event.get("response", {}).get("id"), None)
        self.outputs.append(SessionOutput("event", orjson.dumps(event)))

    def close(self, code: int, reason: str) -> None:
        """Add that the socket is closed."""
        said = reason.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
        self.outputs.append(SessionOutput("close", orjson.dumps({"code": code, "reason": said})))

    def take_sounds(self) -> list[SentSound]:
        """Return the sound that was added since this was last asked."""
        taken, self._sounds = self._sounds, []
        return taken

    def _add_sound(self, event: ServerEvent, pcm: bytes, format: str) -> None:
        self.spoken_bytes += len(pcm)
        name = event.get("response_id")
        sounding = self._soundings.get(name)
        if sounding is None or sounding.format != format:
            sounding = self._soundings[name] = _Sounding(format, OutputSound(format))
        sounding.event = event
        # What a converter holds back comes with the next piece.
        if data := sounding.converter.feed(pcm):
            self._send(event, data, format)

    def _end_sound(self, event: ServerEvent) -> None:
        sounding = self._soundings.pop(event.get("response_id"), None)
        if sounding is not None and (rest := sounding.converter.finish()):
            self._send({**sounding.event, "event_id": new_event_id()}, rest, sounding.format)

    def _send(self, event: ServerEvent, data: bytes, format: str) -> None:
        self.outputs.append(SessionOutput("event", orjson.dumps({**event, "delta": ""}), audio=data))
        if event["type"] == _SOUND:
            self._sounds.append(SentSound(event["item_id"], event["content_index"], format, data))


class Backlog:
    """How much of what was committed the door has not sent yet, as far as this worker knows."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque()
        self._bytes = 0

    def add(self, outputs: Sequence[SessionOutput], *, unsent: int) -> int:
        """Add what was committed, after which `unsent` entries are not sent; return how many bytes these are."""
        for output in outputs:
            self._sizes.append(len(output.data) + len(output.audio))
            self._bytes += self._sizes[-1]
        while len(self._sizes) > unsent:
            self._bytes -= self._sizes.popleft()
        return self._bytes


def new_event_id() -> str:
    """Return the id of an event that the machine knows nothing of."""
    return f"event_{secrets.token_hex(11)[:21]}"


def server_error(message: str) -> dict[str, Any]:
    """Return the event that tells of a fault of the server's own."""
    return {
        "type": "error",
        "event_id": new_event_id(),
        "error": {
            "type": "server_error",
            "code": "internal_error",
            "message": message,
            "param": None,
            "event_id": None,
        },
    }
