"""What a language model is given of a conversation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.audio.tokens import heard_tokens, spoken_tokens
from antiphon.schemas import ImagePart, Message, Part, Role, TextPart, ToolCall
from services.realtime.session.hearing import duration_ms
from services.realtime.session.state import Item

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 256

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True, slots=True)
class Measure:
    """Tokens, by kind."""

    text: int = 0
    audio: int = 0
    image: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.text + self.audio + self.image

    def __add__(self, other: Measure) -> Measure:
        return Measure(self.text + other.text, self.audio + other.audio, self.image + other.image)


def text_tokens(text: str) -> int:
    """Count a text as the API's models would, roughly."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def measure(item: Item) -> Measure:
    """Return what an item takes of a model's context, as the hosted models count."""
    text = audio = image = 0
    wire = item.wire
    for part in wire.get("content") or ():
        match part["type"]:
            case "input_audio":
                audio += heard_tokens(duration_ms(item) / 1000)
            case "output_audio":
                audio += spoken_tokens(item.spoken_ms / 1000)
                text += text_tokens(part.get("transcript") or "")
            case "input_image":
                image += IMAGE_TOKENS
            case _:
                text += text_tokens(part.get("text") or "")
    text += sum(text_tokens(wire[name]) for name in ("name", "arguments", "output") if isinstance(wire.get(name), str))
    return Measure(text, audio, image)


def first_given(items: Sequence[Item], cut: int, *, limit: int, truncation: Any) -> int | None:
    """Return how many items at the beginning are left out so that the rest fits into `limit` tokens.

    None where it does not fit and nothing may be left out. `cut` were left out before.
    """
    sizes = [measure(item).total for item in items]
    if sum(sizes[cut:]) <= limit:
        return cut
    if truncation == "disabled":
        return None
    room = limit
    if isinstance(truncation, dict):
        # Leaving out more than needs be, so that what is left can be cached for a while.
        after_instructions = (truncation.get("token_limits") or {}).get("post_instructions")
        room = int(min(limit, after_instructions or limit) * truncation["retention_ratio"])
    left = sum(sizes[cut:])
    while cut < len(items) - 1 and left > room:
        left -= sizes[cut]
        cut += 1
    return cut


def messages_of(instructions: str, items: Iterable[Item]) -> tuple[Message, ...]:
    """Return a conversation as a language model takes it; what has no words in it is left out."""
    messages = [Message(role="system", content=(TextPart(text=instructions),))] if instructions else []
    calls: list[ToolCall] = []
    for item in items:
        if item.wire["type"] == "function_call":
            calls.append(
                ToolCall(id=item.wire["call_id"], name=item.wire["name"], arguments=item.wire["arguments"] or "{}")
            )
            continue
        if item.wire["type"] == "mcp_call":
            messages += _flushed(calls)
            messages += _tool_use(item)
            continue
        message = _message(item)
        if message is None:
            continue
        messages += _flushed(calls)
        messages.append(message)
    return (*messages, *_flushed(calls))


def _flushed(calls: list[ToolCall]) -> list[Message]:
    """Return calls that were made side by side as the one message that makes them."""
    made = [Message(role="assistant", tool_calls=tuple(calls))] if calls else []
    calls.clear()
    return made


def _tool_use(item: Item) -> list[Message]:
    wire = item.wire
    if wire.get("output") is None and wire.get("error") is None:
        return []
    call = ToolCall(id=wire["id"], name=wire["name"], arguments=wire["arguments"] or "{}")
    output = wire.get("output")
    told = output if output is not None else f"Error: {wire['error']['message']}"
    return [
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content=(TextPart(text=told),), tool_call_id=wire["id"]),
    ]


def _message(item: Item) -> Message | None:
    wire = item.wire
    if wire["type"] == "function_call_output":
        return Message(role="tool", content=(TextPart(text=wire["output"]),), tool_call_id=wire["call_id"])
    if wire["type"] != "message":
        return None
    parts = [part for content in wire["content"] if (part := _part(item, content)) is not None]
    return Message(role=_ROLES[wire["role"]], content=tuple(parts)) if parts else None


def _part(item: Item, content: dict[str, Any]) -> Part | None:
    match content["type"]:
        case "input_audio":
            text = item.transcript
        case "output_audio":
            text = content.get("transcript") or ""
        case "input_image":
            return ImagePart(url=content["image_url"], detail=content.get("detail") or "auto")
        case _:
            text = content.get("text") or ""
    return TextPart(text=text) if text.strip() else None
