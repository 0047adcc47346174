"""Talking to an engine in tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.models import WeightStore
from antiphon.schemas import Message, Role, ToolCall, WrittenToken
from antiphon.settings import default_cache_dir
from services.responder.engines import CallPiece, End, LanguageModel, Prompt, TextPiece
from services.responder.engines.llama import Llama

SMALL = "qwen2.5-coder-0.5b"
DEFAULT = "qwen2.5-coder-1.5b"


def weights(name: str) -> Path:
    return WeightStore(default_cache_dir()).folder(name)


def load(
    name: str = SMALL, *, context_tokens: int = 1024, parallel: int = 2, options: Mapping[str, Any] | None = None
) -> Llama:
    return Llama.load(
        weights(name),
        name=name,
        threads=2,
        context_tokens=context_tokens,
        parallel=parallel,
        prompt_cache_mib=64,
        options=options or {},
    )


def said(role: Role, text: str, **facts: Any) -> Message:
    return Message.model_validate({"role": role, "content": ({"type": "text", "text": text},), **facts})


@dataclass
class Heard:
    """All of an answer."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    tokens: list[WrittenToken] = field(default_factory=list)
    pieces: int = 0
    end: End | None = None

    @property
    def ended(self) -> End:
        assert self.end is not None
        return self.end


async def hear(engine: LanguageModel, prompt: Prompt) -> Heard:
    """Return the whole answer; nothing follows its end, and every piece of text can be sent."""
    heard = Heard()
    async for piece in engine.respond(prompt):
        assert heard.end is None
        heard.pieces += 1
        if isinstance(piece, TextPiece):
            piece.text.encode()
            heard.text += piece.text
            heard.tokens += piece.logprobs
        elif isinstance(piece, CallPiece):
            if piece.id is not None:
                assert piece.index == len(heard.calls)
                heard.calls.append(ToolCall(id=piece.id, name=piece.name or "", arguments=""))
            call = heard.calls[piece.index]
            heard.calls[piece.index] = call.model_copy(update={"arguments": call.arguments + piece.arguments})
        elif isinstance(piece, End):
            heard.end = piece
    return heard
