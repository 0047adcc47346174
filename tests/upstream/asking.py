"""Ask the server as the responder does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from antiphon.schemas import Message, TextPart
from services.responder.engines import End, Piece, Prompt, TextPiece
from services.responder.engines.upstream import Upstream

KEY = "sk-upstream-0123456789"


@asynccontextmanager
async def opened(base_url: str, model: str = "echo", **options: Any) -> AsyncIterator[Upstream]:
    """Open the model `my-llm`, which is `model` there; quick to try again, unless `timeouts` say otherwise."""
    timeouts = {"first_token_s": 10.0, "next_token_s": 5.0, "backoff_s": 0.02} | options.pop("timeouts", {})
    given = {"base_url": base_url, "model": model, "api_key_env": "MY_KEY", "timeouts": timeouts} | options
    upstream = Upstream.open("my-llm", given, environ={"MY_KEY": KEY}, first_token_s=60, next_token_s=30)
    try:
        yield upstream
    finally:
        await upstream.aclose()


def say(text: str = "Good morning to you.", **rest: Any) -> Prompt:
    """Return a conversation of one message."""
    return Prompt(messages=(Message(role="user", content=(TextPart(text=text),)),), **rest)


async def hear(upstream: Upstream, prompt: Prompt | None = None) -> list[Piece]:
    """Return the whole answer."""
    return [piece async for piece in upstream.respond(prompt or say())]


def text_of(pieces: list[Piece]) -> str:
    """Return what is written in an answer; checks that it has its end."""
    assert isinstance(pieces[-1], End)
    return "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
