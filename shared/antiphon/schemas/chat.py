"""Conversations with a language model: what it is told, and how it is to answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from antiphon.schemas.base import Schema
from antiphon.schemas.blobs import BlobRef

Role = Literal["system", "user", "assistant", "tool"]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class TextPart(Schema):
    """Words."""

    type: Literal["text"] = "text"
    text: str


class AudioPart(Schema):
    """Speech; `transcript` is what is said in it, for a model that cannot hear."""

    type: Literal["audio"] = "audio"
    audio: BlobRef
    format: str = Field(default="wav", description="container of the audio: wav, mp3, ogg, …")
    transcript: str | None = None


class ImagePart(Schema):
    """A picture, at an `https:` or `data:` URL."""

    type: Literal["image"] = "image"
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


Part = Annotated[TextPart | AudioPart | ImagePart, Field(discriminator="type")]


class ToolCall(Schema):
    """A function that the model wants called; `arguments` is JSON."""

    id: str
    name: str
    arguments: str


class Message(Schema):
    """One message. `tool_calls` are what the assistant called, `tool_call_id` is the call that a tool answers."""

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


class Tool(Schema):
    """A function that the model may call; `parameters` is a JSON Schema of an object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool = False


class ToolChoice(Schema):
    """Whether to call tools, and which of them; no names mean all."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()


class ReplyFormat(Schema):
    """The form of the answer's text; `json_schema` is the JSON Schema it must satisfy."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    json_schema: dict[str, Any] | None = None
    strict: bool = False


class ReplyOptions(Schema):
    """How the model is to answer. What is None is left to the model's own defaults."""

    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    top_p: float | None = Field(default=None, ge=0.0, le=1.0)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    frequency_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    format: ReplyFormat = ReplyFormat()
