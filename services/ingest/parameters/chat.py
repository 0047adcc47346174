"""Parameters of /chat/completions."""

from __future__ import annotations

from typing import Any

from antiphon.errors import InvalidValue, UnsupportedValue
from antiphon.given import MaybeGiven, is_writable
from antiphon.models import PublicModel
from antiphon.schemas import ImagePart
from services.ingest.chat.request import ChatRequest
from services.ingest.parameters.chat_fields import check_fields, read_metadata
from services.ingest.parameters.chat_messages import read_messages
from services.ingest.parameters.chat_options import read_options, read_spoken
from services.ingest.parameters.chat_tools import read_tools


def read_chat(body: dict[str, Any], model: PublicModel, *, strict: bool) -> ChatRequest:
    """Check a request and decode its recordings. `strict` refuses what the hosted model of that name refuses.

    Raises `InvalidRequest`. Recordings of 20 MB take a few tenths of a second: call it from a thread when the body
    is large.
    """
    given = MaybeGiven(body)
    check_fields(given, model, strict=strict)
    stream = given.member("stream").flag()
    include_usage, obfuscated = _stream_options(given.member("stream_options"), stream=stream)
    tools = read_tools(given.member("tools"), strict=strict)
    store = given.member("store").flag()
    request = ChatRequest(
        spoken=read_spoken(given, stream=stream),
        options=read_options(given, tools),
        metadata=read_metadata(given.member("metadata")),
        # Last, because it is the most work.
        messages=read_messages(given.member("messages"), strict=strict),
        tools=tools,
        stream=stream,
        include_usage=include_usage,
        obfuscated=obfuscated,
        store=store,
        body=_writable(body) if store else {},
    )
    if strict:
        _check_hosted(request, given, model)
    return request


def _stream_options(given: MaybeGiven, *, stream: bool) -> tuple[bool, bool]:
    if given.absent:
        return False, False
    if not stream:
        raise InvalidValue(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param=given.param
        )
    return given.member("include_usage").flag(), given.member("include_obfuscation").flag()


def _writable(body: dict[str, Any]) -> dict[str, Any]:
    if not is_writable(body):
        raise InvalidValue("The body of your request is nested too deeply to be stored.", param="store")
    return body


def _check_hosted(request: ChatRequest, given: MaybeGiven, model: PublicModel) -> None:
    if not given.member("parallel_tool_calls").absent and not request.tools:
        raise InvalidValue(
            "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed "
            "when 'tools' are specified.",
            param="parallel_tool_calls",
        )
    if "audio" not in model.base:
        return
    heard = request.recordings or any(message.audio_id for message in request.messages)
    if not heard and request.spoken is None:
        raise InvalidValue(
            "This model requires that either input content or output modality contain audio.", param="model"
        )
    if request.options.format.type == "json_schema":
        raise UnsupportedValue(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
            param="response_format",
        )
    for name in ("reasoning_effort", "verbosity"):
        if not given.member(name).absent:
            raise UnsupportedValue(f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
    for message in request.messages:
        if any(isinstance(part, ImagePart) for part in message.parts):
            raise UnsupportedValue(
                "Invalid content type. image_url is only supported by certain models.", param=f"{message.param}.content"
            )
