"""Chunks of a completion, as the various servers send them, into pieces. Pure."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from antiphon.schemas import RatedToken, ReplyUsage, WrittenToken
from services.responder.engines.language_model import CallPiece, End, Piece, RefusalPiece, SoundPiece, TextPiece
from services.responder.engines.upstream_errors import Broken

if TYPE_CHECKING:
    from antiphon.schemas import FinishReason
    from services.responder.engines.upstream_chunks import Choice, Chunk, Said, SentCall, SentRating, SentUsage

_FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Anything else is a way to say "stop"."""
_MOST_CALLS = 128
_TEXT_BYTES_PER_TOKEN = 4
_SOUND_BYTES_PER_TOKEN = 2400
"""The hosted models write 20 tokens for a second of speech."""


@dataclass(slots=True)
class _Call:
    index: int
    id: str | None = None
    name: str = ""
    announced: bool = False
    held: str = ""
    """Arguments that came before the name."""
    empty: bool = True


class Answer:
    """Grows by chunks. Text goes through as it is; tool calls are put in order, whatever their server calls them."""

    def __init__(self, *, rough_prompt_tokens: int = 0, logprobs: bool = False) -> None:
        """`rough_prompt_tokens` counts when the server does not. `logprobs` were asked for."""
        self.signs = 0
        """Chunks that said something, if only that the model is thinking."""
        self._rough_prompt_tokens = rough_prompt_tokens
        self._logprobs = logprobs
        self._finish: str | None = None
        self._usage: SentUsage | None = None
        self._fingerprint: str | None = None
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._odd = b""
        self._text_bytes = self._thought_bytes = self._sound_bytes = 0

    @property
    def finished(self) -> bool:
        """Whether the server has said why the answer ends."""
        return self._finish is not None

    def add(self, chunk: Chunk) -> list[Piece]:
        """Return what is new. Raises `Broken` for what makes no sense."""
        self._usage = chunk.usage or self._usage
        self._fingerprint = chunk.system_fingerprint or self._fingerprint
        pieces: list[Piece] = []
        for choice in chunk.choices or ():
            if not choice.index:
                pieces += self._read(choice)
        return pieces

    def end(self) -> list[Piece]:
        """Return the rest. Raises `Broken` when this cannot be the end."""
        if not self.finished and not self.signs:
            raise Broken("said nothing")
        pieces: list[Piece] = []
        for call in self._calls:
            if not call.announced:
                raise Broken("called a function without saying which")
            if call.empty:
                pieces.append(CallPiece(call.index, "{}"))
        finish = _FINISHES.get(self._finish or "", "stop")
        if self._calls and finish == "stop":
            finish = "tool_calls"
        pieces.append(End(finish, self._count(), self._fingerprint))
        return pieces

    def _read(self, choice: Choice) -> list[Piece]:
        pieces: list[Piece] = []
        said = choice.delta or choice.message
        if said is not None:
            pieces = self._hear(said, self._rated(choice))
            if pieces or said.thought or said.tool_calls:
                self.signs += 1
        if choice.finish_reason:
            if choice.finish_reason == "error":
                raise Broken("broke off its answer with an error")
            self._finish = choice.finish_reason
        return pieces

    def _hear(self, said: Said, logprobs: tuple[WrittenToken, ...]) -> list[Piece]:
        pieces: list[Piece] = []
        self._thought_bytes += len(said.thought.encode())
        if said.text or logprobs:
            self._text_bytes += len(said.text.encode())
            pieces.append(TextPiece(said.text, logprobs))
        if said.refusal:
            self._text_bytes += len(said.refusal.encode())
            pieces.append(RefusalPiece(said.refusal))
        if said.audio and said.audio.transcript:
            self._text_bytes += len(said.audio.transcript.encode())
            pieces.append(TextPiece(said.audio.transcript))
        if said.audio and said.audio.data and (pcm := self._sound(said.audio.data)):
            pieces.append(SoundPiece(pcm))
        for call in said.tool_calls or ():
            pieces += self._called(call)
        return pieces

    def _sound(self, data: str) -> bytes:
        try:
            received = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise Broken("sent sound that is not base64") from None
        self._sound_bytes += len(received)
        # A slice may end in the middle of a sample.
        received = self._odd + received
        whole = len(received) & ~1
        self._odd = received[whole:]
        return received[:whole]

    def _called(self, sent: SentCall) -> list[Piece]:
        call = self._call_of(sent)
        name, arguments = "", ""
        if sent.function is not None:
            name = sent.function.name or ""
            given = sent.function.arguments
            arguments = orjson.dumps(given).decode() if isinstance(given, dict) else given or ""
        call.id = call.id or sent.id
        call.empty = call.empty and not arguments
        self._text_bytes += len(arguments)
        if call.announced:
            # Some servers repeat the name with every piece.
            return [CallPiece(call.index, arguments)] if arguments else []
        call.name += name
        call.held += arguments
        if not call.name:
            return []
        call.announced = True
        call.id = call.id or f"call_{secrets.token_hex(12)}"
        return [CallPiece(call.index, call.held, call.id, call.name)]

    def _call_of(self, sent: SentCall) -> _Call:
        """Return the call that a piece belongs to.

        Some servers send whole calls, all with the index 0 or with none, told apart by their ids or not at all.
        """
        name = sent.function.name if sent.function else None
        if sent.index is not None:
            call = self._by_index.get(sent.index)
            if call is None or (sent.id and call.id and sent.id != call.id and name):
                call = self._by_index[sent.index] = self._new_call()
            return call
        if sent.id:
            return next((call for call in self._calls if call.id == sent.id), None) or self._new_call()
        if name or not self._calls:
            return self._new_call()
        return self._calls[-1]

    def _new_call(self) -> _Call:
        if len(self._calls) >= _MOST_CALLS:
            raise Broken(f"called more than {_MOST_CALLS} functions")
        self._calls.append(_Call(len(self._calls)))
        return self._calls[-1]

    def _rated(self, choice: Choice) -> tuple[WrittenToken, ...]:
        if not self._logprobs or choice.logprobs is None:
            return ()
        return tuple(
            WrittenToken(
                token=token.token,
                logprob=token.logprob,
                bytes=_bytes_of(token),
                top_logprobs=tuple(
                    RatedToken(token=other.token, logprob=other.logprob, bytes=_bytes_of(other))
                    for other in token.top_logprobs or ()
                ),
            )
            for token in choice.logprobs.content or ()
        )

    def _count(self) -> ReplyUsage:
        thought = -(-self._thought_bytes // _TEXT_BYTES_PER_TOKEN)
        usage = self._usage
        if usage is None or usage.completion_tokens is None:
            sound = -(-self._sound_bytes // _SOUND_BYTES_PER_TOKEN)
            written = -(-self._text_bytes // _TEXT_BYTES_PER_TOKEN)
            return ReplyUsage(
                prompt_tokens=self._rough_prompt_tokens,
                completion_tokens=thought + written + sound,
                reasoning_tokens=thought,
                completion_audio_tokens=sound,
            )
        read, wrote = usage.prompt_tokens_details, usage.completion_tokens_details
        reasoning = wrote.reasoning_tokens if wrote else None
        return ReplyUsage(
            prompt_tokens=usage.prompt_tokens or 0,
            completion_tokens=usage.completion_tokens,
            cached_tokens=(read.cached_tokens if read else None) or 0,
            reasoning_tokens=min(thought, usage.completion_tokens) if reasoning is None else reasoning,
            prompt_audio_tokens=(read.audio_tokens if read else None) or 0,
            completion_audio_tokens=(wrote.audio_tokens if wrote else None) or 0,
            prompt_image_tokens=(read.image_tokens if read else None) or 0,
        )


def _bytes_of(token: SentRating) -> tuple[int, ...] | None:
    return None if token.bytes is None else tuple(token.bytes)


def rough_tokens(text: str) -> int:
    """Return about how many tokens a text is."""
    return -(-len(text.encode()) // _TEXT_BYTES_PER_TOKEN)
