"""An answer while it is put together from its pieces."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.schemas import Reply, ReplyUsage, ToolCall, WrittenToken
from services.responder.engines import CallPiece, End, Piece, RefusalPiece, SoundPiece, TextPiece


@dataclass
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Draft:
    """Takes pieces in order and gives the whole."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._logprobs: list[WrittenToken] = []
        self._end = End("stop", ReplyUsage())
        self._spoken = False

    def add(self, piece: Piece) -> None:
        """Take the next piece."""
        match piece:
            case TextPiece(text, logprobs):
                self._text.append(text)
                self._logprobs += logprobs
            case RefusalPiece(text):
                self._refusal.append(text)
            case CallPiece(index, arguments, id, name):
                call = self._calls.setdefault(index, _Call())
                call.id = id or call.id
                call.name = name or call.name
                call.arguments.append(arguments)
            case SoundPiece():
                self._spoken = True
            case End():
                self._end = piece

    def reply(self) -> Reply:
        """Return the answer so far."""
        calls = (self._calls[index] for index in sorted(self._calls))
        return Reply(
            text="".join(self._text),
            refusal="".join(self._refusal) or None,
            tool_calls=tuple(ToolCall(id=call.id, name=call.name, arguments="".join(call.arguments)) for call in calls),
            finish_reason=self._end.finish_reason,
            usage=self._end.usage,
            logprobs=tuple(self._logprobs) or None,
            fingerprint=self._end.fingerprint,
            spoken=self._spoken,
        )
