"""The messages of a chat completion."""

from __future__ import annotations

import re
from typing import Final

from antiphon.errors import InvalidValue, UnsupportedValue
from antiphon.given import MaybeGiven
from antiphon.schemas import ImagePart, Role, TextPart, ToolCall
from services.ingest.chat.request import Recording, SaidMessage
from services.ingest.parameters.chat_order import check_answers
from services.ingest.parameters.chat_recordings import check_size, read_recording

MAX_MESSAGES = 2048
MAX_RECORDINGS = 64
MAX_CHARACTERS = 4 * 1024 * 1024
MAX_CALLS = 128

_ROLES: Final = ("system", "assistant", "user", "tool", "developer")
_MEANT: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_PARTS: dict[Role, tuple[str, ...]] = {
    "system": ("text",),
    "user": ("text", "image_url", "input_audio"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}
_MAX_PARTS = 2048
_LONGEST_ID = 256
_LONGEST_NAME = 64
_NAME = re.compile(r"[^\s<|\\/>]+")


def read_messages(given: MaybeGiven, *, strict: bool) -> tuple[SaidMessage, ...]:
    """Return the conversation. Raises `InvalidRequest`."""
    items = given.required().items(filled=True, most=MAX_MESSAGES)
    messages: list[SaidMessage] = []
    recordings = characters = 0
    for item in items:
        message = _message(item, strict=strict)
        recordings += sum(isinstance(part, Recording) for part in message.parts)
        characters += _characters(message)
        # Before the next one is decoded: what is refused is not to be held first.
        _check_bounds(given.param, recordings, characters)
        messages.append(message)
    check_answers(messages)
    return tuple(messages)


def _message(given: MaybeGiven, *, strict: bool) -> SaidMessage:
    role = given.member("role").required_choice(_ROLES, unserved=("function",))
    if role == "assistant":
        return _assistant(given, strict=strict)
    if role == "tool":
        return SaidMessage(
            role="tool",
            param=given.param,
            parts=_content(given, "tool", strict=strict),
            tool_call_id=given.member("tool_call_id").filled_text(longest=_LONGEST_ID),
        )
    parts = _content(given, _MEANT[role], strict=strict)
    check_size([part for part in parts if isinstance(part, Recording)])
    return SaidMessage(role=_MEANT[role], param=given.param, parts=parts, name=_name(given))


def _assistant(given: MaybeGiven, *, strict: bool) -> SaidMessage:
    calls = tuple(_call(item) for item in given.member("tool_calls").items(filled=strict, most=MAX_CALLS))
    if not given.member("function_call").absent:
        raise UnsupportedValue(
            f"Unsupported parameter: '{given.param}.function_call' is not supported. Use 'tool_calls' instead.",
            param=f"{given.param}.function_call",
        )
    audio, refusal = given.member("audio"), given.member("refusal").text()
    optional = bool(calls) or refusal is not None or not audio.absent
    parts = () if optional and given.member("content").absent else _content(given, "assistant", strict=strict)
    return SaidMessage(
        role="assistant",
        param=given.param,
        parts=(*parts, TextPart(text=refusal)) if refusal else parts,
        tool_calls=calls,
        name=_name(given),
        audio_id=None if audio.absent else audio.member("id").filled_text(longest=_LONGEST_ID),
    )


def _content(given: MaybeGiven, role: Role, *, strict: bool) -> tuple[TextPart | ImagePart | Recording, ...]:
    content = given.member("content").required()
    if isinstance(content.value, str):
        return _texts(content)
    if not isinstance(content.value, list):
        raise content.wrong_type("one of a string or array of objects")
    parts: list[TextPart | ImagePart | Recording] = []
    for item in content.items(filled=True, most=_MAX_PARTS):
        parts += _part(item, role, strict=strict)
    return tuple(parts)


def _part(given: MaybeGiven, role: Role, *, strict: bool) -> tuple[TextPart | ImagePart | Recording, ...]:
    kind = given.member("type").required_choice(_PARTS[role], unserved=("file",) if role == "user" else ())
    match kind:
        case "input_audio":
            return (read_recording(given, strict=strict),)
        case "image_url":
            return (_image(given.member("image_url")),)
        case _:
            return _texts(given.member(kind))


def _texts(given: MaybeGiven) -> tuple[TextPart, ...]:
    text = given.required_text()
    return (TextPart(text=text),) if text else ()


def _image(given: MaybeGiven) -> ImagePart:
    url = given.member("url")
    address = url.required_text()
    if not address.startswith(("https://", "data:image/")):
        raise InvalidValue(
            f"Invalid '{url.param}'. Expected an 'https:' URL or a 'data:' URL of an image, "
            "but got a value with an invalid format.",
            param=url.param,
        )
    detail = given.member("detail").choice(("auto", "low", "high", "original")) or "auto"
    # Every image is seen in the size it has, or smaller.
    return ImagePart(url=address, detail="high" if detail == "original" else detail)


def _call(given: MaybeGiven) -> ToolCall:
    id_ = given.member("id").filled_text(longest=_LONGEST_ID)
    given.member("type").required_choice(("function",), unserved=("custom",))
    function = given.member("function")
    return ToolCall(
        id=id_,
        name=function.member("name").filled_text(longest=_LONGEST_NAME),
        arguments=function.member("arguments").required_text(),
    )


def _name(given: MaybeGiven) -> str | None:
    name = given.member("name")
    text = name.text(longest=_LONGEST_NAME)
    if text and not _NAME.fullmatch(text):
        raise InvalidValue(
            f"Invalid '{name.param}': string does not match pattern. "
            f"Expected a string that matches the pattern '^{_NAME.pattern}$'.",
            param=name.param,
        )
    return text or None


def _characters(message: SaidMessage) -> int:
    written = sum(len(part.text) for part in message.parts if isinstance(part, TextPart))
    return written + sum(len(call.arguments) for call in message.tool_calls)


def _check_bounds(param: str, recordings: int, characters: int) -> None:
    if recordings > MAX_RECORDINGS:
        raise InvalidValue(
            f"Invalid '{param}': too many recordings. At most {MAX_RECORDINGS} are accepted.", param=param
        )
    if characters > MAX_CHARACTERS:
        raise InvalidValue(
            f"Invalid '{param}': too much text. At most {MAX_CHARACTERS} characters are accepted.", param=param
        )
