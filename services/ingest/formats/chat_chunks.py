"""A chat completion in chunks. Pure, but for the characters of the padding."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from antiphon.dialogue.events import Called, Ended, Refused, Restarted, Sounded, TurnEvent, Wrote
from antiphon.errors import Failure
from antiphon.schemas import ToolCallDelta
from services.ingest.formats.chat import Completion
from services.ingest.formats.chat_usage import usage_of

SLICE_BYTES = 32_766
"""Most bytes of sound in a chunk. A multiple of 3 makes base64 without padding, so that the slices may also be joined
before they are decoded, which some clients do; a multiple of 2 cuts between samples."""

_GRAIN_BYTES = 6
_PADDED_BYTES = 32


@dataclass(frozen=True, slots=True)
class SpokenId:
    """What a spoken answer is remembered as, and until when, in epoch seconds."""

    id: str
    expires_at: int


class Chunks:
    """Turns the events of one turn into chunks.

    `spoken` is None for an answer in text. `heard_s` is how many seconds of audio the request holds.
    """

    def __init__(self, completion: Completion, *, spoken: SpokenId | None = None, heard_s: float = 0.0) -> None:
        self._completion = completion
        self._spoken = spoken
        self._heard_s = heard_s
        self._begun = False
        self._audible = False
        self._pcm = b""
        self._calls: set[int] = set()

    def __call__(self, event: TurnEvent) -> Iterator[dict[str, Any]]:
        """Yield the chunks that follow from `event`. Raises `Failure` when what was sent no longer counts."""
        match event:
            case Wrote():
                yield from self._write(event)
            case Refused():
                yield self._chunk(self._opened({"refusal": event.text}), padding=event.text)
            case Called():
                yield from self._call(event.calls)
            case Sounded():
                yield from self._sound(event.pcm)
            case Restarted() if self._begun:
                raise Failure("The answer was broken off and cannot be continued. Please try again.")
            case Ended():
                yield from self._end(event)

    def _write(self, event: Wrote) -> Iterator[dict[str, Any]]:
        if self._spoken is not None:
            delta = self._opened({"audio": self._audio({"transcript": event.text})})
        else:
            if not self._begun:
                yield self._chunk(self._opened({"content": ""}))
            delta = {"content": event.text}
        yield self._chunk(delta, padding=event.text, logprobs=event.logprobs)

    def _call(self, calls: tuple[ToolCallDelta, ...]) -> Iterator[dict[str, Any]]:
        for call in calls:
            delta = self._opened({"tool_calls": [self._call_object(call)]})
            yield self._chunk(delta, padding=call.arguments)

    def _call_object(self, call: ToolCallDelta) -> dict[str, Any]:
        if call.index in self._calls:
            return {"index": call.index, "function": {"arguments": call.arguments}}
        self._calls.add(call.index)
        return {
            "index": call.index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }

    def _sound(self, pcm: bytes) -> Iterator[dict[str, Any]]:
        self._pcm += pcm
        whole = len(self._pcm) // _GRAIN_BYTES * _GRAIN_BYTES
        ready, self._pcm = self._pcm[:whole], self._pcm[whole:]
        for start in range(0, len(ready), SLICE_BYTES):
            yield self._slice(ready[start : start + SLICE_BYTES])

    def _slice(self, pcm: bytes) -> dict[str, Any]:
        if not self._audible:
            return self._chunk(self._opened({"audio": self._audio({"transcript": "", "data": _base64(pcm)})}))
        return self._chunk({"audio": {"data": _base64(pcm)}})

    def _end(self, event: Ended) -> Iterator[dict[str, Any]]:
        rest = self._pcm[: len(self._pcm) // 2 * 2]
        if rest:
            yield self._slice(rest)
        if not self._begun:
            yield self._chunk(self._opened({"content": ""}))
        if self._audible and self._spoken is not None:
            yield self._chunk({"audio": {"expires_at": self._spoken.expires_at}})
        fingerprint = event.reply.fingerprint
        yield self._completion.chunk({}, finish_reason=event.reply.finish_reason, fingerprint=fingerprint)
        if self._completion.request.include_usage:
            usage = usage_of(event.reply, heard_s=self._heard_s, speech_s=event.speech_s)
            yield self._completion.usage_chunk(usage, fingerprint=fingerprint)

    def _audio(self, delta: dict[str, Any]) -> dict[str, Any]:
        if self._audible or self._spoken is None:
            return delta
        self._audible = True
        return {"id": self._spoken.id, **delta}

    def _opened(self, delta: dict[str, Any]) -> dict[str, Any]:
        if self._begun:
            return delta
        self._begun = True
        return {"role": "assistant", "content": None, "refusal": None, **delta}

    def _chunk(self, delta: dict[str, Any], *, padding: str | None = None, **options: Any) -> dict[str, Any]:
        chunk = self._completion.chunk(delta, **options)
        if padding is None or not self._completion.request.obfuscated:
            return chunk
        lacking = -len(padding.encode()) % _PADDED_BYTES
        return chunk | {"obfuscation": secrets.token_urlsafe(lacking)[:lacking]}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
