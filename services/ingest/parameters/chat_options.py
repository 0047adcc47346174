"""How a chat completion is to be answered: sampling, the form of the text, the sound."""

from __future__ import annotations

from typing import Final

from antiphon.errors import InvalidValue, UnsupportedValue
from antiphon.given import MaybeGiven
from antiphon.schemas import ReplyFormat, ReplyOptions, Tool
from services.ingest.chat.request import SpokenAnswer
from services.ingest.parameters.chat_tools import read_name, read_tool_choice

_MODALITIES: Final = ("text", "audio")
_SPOKEN_FORMATS: Final = ("wav", "aac", "mp3", "flac", "opus", "pcm16")
_MAX_STOPS = 4
_LONGEST_STOP = 1024
_LONGEST_VOICE = 128
_INT32 = 2**31
_INT64 = 2**63


def read_options(body: MaybeGiven, tools: tuple[Tool, ...]) -> ReplyOptions:
    """Return how the model is to write. Raises `InvalidRequest`."""
    logprobs = body.member("logprobs").flag()
    top = body.member("top_logprobs")
    top_logprobs = top.integer(minimum=0, maximum=20)
    if top_logprobs is not None and not logprobs:
        raise InvalidValue(
            "Invalid value for 'top_logprobs': 'top_logprobs' is only allowed when 'logprobs' is enabled.",
            param=top.param,
        )
    return ReplyOptions(
        max_tokens=_max_tokens(body),
        temperature=body.member("temperature").number(minimum=0, maximum=2),
        top_p=body.member("top_p").number(minimum=0, maximum=1),
        seed=body.member("seed").integer(minimum=-_INT64, maximum=_INT64 - 1),
        stop=_stop(body.member("stop")),
        presence_penalty=body.member("presence_penalty").number(minimum=-2, maximum=2),
        frequency_penalty=body.member("frequency_penalty").number(minimum=-2, maximum=2),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        tool_choice=read_tool_choice(body.member("tool_choice"), tools),
        parallel_tool_calls=body.member("parallel_tool_calls").flag(default=True),
        format=_format(body.member("response_format")),
    )


def read_spoken(body: MaybeGiven, *, stream: bool) -> SpokenAnswer | None:
    """Return how the answer is to sound, None when it is not. Raises `InvalidRequest`."""
    audio = body.member("audio")
    spoken = None if audio.absent else _spoken(audio)
    if "audio" not in _modalities(body.member("modalities")):
        return None
    if spoken is None:
        audio.required()
    elif stream and spoken.format != "pcm16":
        raise UnsupportedValue(
            f"Unsupported value: 'audio.format' does not support '{spoken.format}' when stream=true. "
            "Supported values are: 'pcm16'.",
            param="audio.format",
        )
    return spoken


def _modalities(given: MaybeGiven) -> set[str]:
    items = given.items("strings", filled=True, most=16)
    modalities: set[str] = {item.required_choice(_MODALITIES) for item in items}
    if modalities == {"audio"}:
        raise InvalidValue(
            "Invalid modalities: ['audio']. Supported combinations are: ['text'] and ['text', 'audio'].",
            param=given.param,
        )
    return modalities


def _spoken(given: MaybeGiven) -> SpokenAnswer:
    voice = given.member("voice").required()
    if isinstance(voice.value, dict):
        voice = voice.member("id").required()
    elif not isinstance(voice.value, str):
        raise voice.wrong_type("one of a string or object")
    return SpokenAnswer(
        voice=voice.filled_text(longest=_LONGEST_VOICE),
        format=given.member("format").required_choice(_SPOKEN_FORMATS),
    )


def _max_tokens(body: MaybeGiven) -> int | None:
    deprecated = body.member("max_tokens").integer(minimum=1, maximum=_INT32 - 1)
    current = body.member("max_completion_tokens").integer(minimum=1, maximum=_INT32 - 1)
    if deprecated is not None and current is not None:
        raise InvalidValue(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", param="max_tokens"
        )
    return deprecated if current is None else current


def _stop(given: MaybeGiven) -> tuple[str, ...]:
    if isinstance(given.value, list):
        stops = [item.required_text(longest=_LONGEST_STOP) for item in given.items("strings", most=_MAX_STOPS)]
    elif isinstance(given.value, str | None):
        stops = [given.text(longest=_LONGEST_STOP) or ""]
    else:
        raise given.wrong_type("one of a string or array of strings")
    # Nothing can be looked for that has no characters.
    return tuple(stop for stop in stops if stop)


def _format(given: MaybeGiven) -> ReplyFormat:
    if given.absent:
        return ReplyFormat()
    kind = given.member("type").required_choice(("json_object", "json_schema", "text"))
    if kind != "json_schema":
        return ReplyFormat(type=kind)
    named = given.member("json_schema")
    name = read_name(named.member("name"))
    description = named.member("description").text()
    schema = named.member("schema").json_object()
    return ReplyFormat(
        type=kind,
        name=name,
        json_schema={"description": description, **schema} if description else schema,
        strict=named.member("strict").flag(),
    )
