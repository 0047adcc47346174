"""A chat completion as it was asked for, before anything has been heard or looked up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.schemas import ImagePart, ReplyOptions, Role, TextPart, Tool, ToolCall

SpokenFormat = Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Speech in a message: the bytes of an audio file, and where in the request it was."""

    data: bytes
    format: str
    param: str


@dataclass(frozen=True, slots=True)
class SaidMessage:
    """One message. `audio_id` refers to an earlier spoken answer; `param` is its place in the request."""

    role: Role
    param: str
    parts: tuple[TextPart | ImagePart | Recording, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    audio_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """How the answer is to be spoken."""

    voice: str
    format: SpokenFormat


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """Everything that was asked for. `spoken` is None when only text is wanted."""

    messages: tuple[SaidMessage, ...]
    tools: tuple[Tool, ...] = ()
    options: ReplyOptions = field(default_factory=ReplyOptions)
    spoken: SpokenAnswer | None = None
    stream: bool = False
    include_usage: bool = False
    obfuscated: bool = False
    store: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    """The request as it came, recordings and all, if it is to be stored: what is told of the input later."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """All recordings, in order."""
        return tuple(part for message in self.messages for part in message.parts if isinstance(part, Recording))
