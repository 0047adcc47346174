"""A prompt as the body of a request for a chat completion. Pure.

Where servers differ, the form is chosen that most of them take: text as a string, nothing that is left at its default.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from antiphon.errors import InvalidValue
from antiphon.schemas import AudioPart, ImagePart, TextPart
from services.responder.engines.upstream_answer import rough_tokens

if TYPE_CHECKING:
    from antiphon.schemas import Message, ReplyOptions, Tool
    from services.responder.engines.language_model import Prompt
    from services.responder.engines.upstream_options import UpstreamOptions

_TOKENS_AROUND_A_MESSAGE = 4
_NO_PARAMETERS = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording in a container that servers take."""

    data: bytes
    format: Literal["wav", "mp3"]


def write_body(
    prompt: Prompt, *, name: str, model: str, options: UpstreamOptions, clips: Mapping[str, Clip]
) -> dict[str, Any]:
    """Return the body that asks `model` to go on; `name` is what callers call it, `clips` what it is to hear.

    Raises `InvalidValue` for what it cannot take.
    """
    tools, choice = _tools(prompt)
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message, name=name, sees=options.sees, clips=clips) for message in prompt.messages],
        "stream": True,
    }
    if tools:
        body["tools"] = tools
        if choice is not None:
            body["tool_choice"] = choice
        if not prompt.options.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    if prompt.voice is not None and options.speaks:
        body["modalities"] = ["text", "audio"]
        body["audio"] = {"voice": prompt.voice, "format": "pcm16"}
    return body | _sampling(prompt.options, options.max_tokens_field) | _format(prompt.options)


def rough_prompt_tokens(prompt: Prompt) -> int:
    """Return about how many tokens a prompt is, for a server that does not count."""
    return sum(
        _TOKENS_AROUND_A_MESSAGE
        + sum(rough_tokens(_words(part) or "") for part in message.content if not isinstance(part, ImagePart))
        + sum(rough_tokens(call.name + call.arguments) for call in message.tool_calls)
        for message in prompt.messages
    )


def _message(message: Message, *, name: str, sees: bool, clips: Mapping[str, Clip]) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role}
    if message.name:
        written["name"] = message.name
    parts = [_part(part, message.role, name=name, sees=sees, clips=clips) for part in message.content]
    if all(part["type"] == "text" for part in parts):
        written["content"] = "\n".join(part["text"] for part in parts)
    else:
        written["content"] = parts
    if message.tool_calls:
        written["content"] = written["content"] or None
        written["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    return written


def _part(
    part: TextPart | AudioPart | ImagePart, role: str, *, name: str, sees: bool, clips: Mapping[str, Clip]
) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        if not sees:
            raise InvalidValue(f"The model `{name}` does not take images.", param="messages")
        image = {"url": part.url} if part.detail == "auto" else {"url": part.url, "detail": part.detail}
        return {"type": "image_url", "image_url": image}
    if isinstance(part, AudioPart) and role == "user" and (clip := clips.get(part.audio.uri)) is not None:
        data = base64.b64encode(clip.data).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": clip.format}}
    words = _words(part)
    if words is None:
        raise InvalidValue(f"The model `{name}` cannot hear a recording that has no transcript.", param="messages")
    return {"type": "text", "text": words}


def _words(part: TextPart | AudioPart) -> str | None:
    return part.text if isinstance(part, TextPart) else part.transcript


def _tools(prompt: Prompt) -> tuple[list[dict[str, Any]], str | dict[str, Any] | None]:
    """Return the tools that may be called, and the choice; None where it is the default.

    Few servers know the form that allows some of the tools; all of them know fewer tools. And some know no choice at
    all: what is not to be called is better not shown, unless the conversation holds calls already.
    """
    choice = prompt.options.tool_choice
    tools = [tool for tool in prompt.tools if not choice.names or tool.name in choice.names]
    written = [_tool(tool) for tool in tools]
    if choice.mode == "none":
        called = any(message.tool_calls for message in prompt.messages)
        return ([_tool(tool) for tool in prompt.tools], "none") if called else ([], None)
    if choice.mode == "required":
        if len(choice.names) == 1:
            return written, {"type": "function", "function": {"name": choice.names[0]}}
        return written, "required"
    return written, None


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters or _NO_PARAMETERS}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _sampling(options: ReplyOptions, max_tokens_field: str) -> dict[str, Any]:
    given = {
        max_tokens_field: options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": options.seed,
        "stop": list(options.stop) or None,
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
        "logprobs": options.logprobs or None,
        "top_logprobs": options.top_logprobs if options.logprobs else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _format(options: ReplyOptions) -> dict[str, Any]:
    wanted = options.format
    if wanted.type == "text":
        return {}
    if wanted.type == "json_object":
        return {"response_format": {"type": "json_object"}}
    described: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.json_schema or {}}
    if wanted.strict:
        described["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": described}}
