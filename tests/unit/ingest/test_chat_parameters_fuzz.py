"""Whatever JSON says, a request is read or refused; what was read can be sent to a worker and stored."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.errors import AntiphonError
from antiphon.models import PublicModel
from antiphon.schemas import Message, RespondJob
from services.ingest.chat.request import ChatRequest, Recording
from services.ingest.errors_openai import error_object
from services.ingest.parameters.chat import read_chat

pytestmark = pytest.mark.unit

MODEL = PublicModel(
    id="gpt-audio",
    created=0,
    owned_by="system",
    kinds=("respond",),
    model="some",
    streams=True,
    formats=(),
    shutdown_date=None,
    usage="tokens",
    base="gpt-audio",
)
FUNCTION = {"name": "f", "description": "Does.", "parameters": {"type": "object"}, "strict": True}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
WHOLE: dict[str, Any] = {
    "model": "gpt-audio",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Listen."},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "image_url", "image_url": {"url": "https://a.b/c.png", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "1"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "audio": {"id": "audio_1"}},
    ],
    "modalities": ["text", "audio"],
    "audio": {"voice": {"id": "alloy"}, "format": "pcm16"},
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "store": True,
    "metadata": {"a": "b"},
    "n": 1,
    "stop": ["a"],
    "temperature": 1,
    "top_p": 0.5,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "seed": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "max_completion_tokens": 5,
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "x", "description": "y", "schema": {"type": "object"}, "strict": True},
    },
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_options": {"mode": "implicit"},
    "reasoning_effort": "low",
    "service_tier": "auto",
    "user": "u",
    "unknown": {"x": [1]},
}


def paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, each in inner for path in paths(each, (*at, key)))]


def found(path: tuple[str | int, ...]) -> Any:
    value: Any = WHOLE
    for key in path:
        value = value[key]
    return value


def nested(depth: int) -> Any:
    value: Any = {}
    for level in range(depth):
        value = {"type": "object", "properties": value} if level % 2 else {"items": [value]}
    return value


PATHS = paths(WHOLE)[1:]
TEXT_PATHS = [path for path in PATHS if isinstance(found(path), str)]
OBJECT_PATHS = [path for path in ((), *PATHS) if isinstance(found(path), dict)]
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["\ud800", "data:", "AAAA", "custom", "function", "tool", "assistant", "audio", "file", "x" * 70, "\x00", ""]
)
DEPTHS = st.sampled_from([50, 90, 120, 240, 300, 2000])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.sampled_from([10**400, -(10**4000), 2**63, 0.5, 1e308])
    | st.floats()
    | TEXTS
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
) | st.builds(nested, DEPTHS)
CHANGES = st.lists(
    st.tuples(st.sampled_from(TEXT_PATHS), st.just("set"), TEXTS)
    | st.tuples(st.sampled_from(OBJECT_PATHS).map(lambda path: (*path, "x")), st.just("set"), st.builds(nested, DEPTHS))
    | st.tuples(st.sampled_from(PATHS), st.sampled_from(["set", "drop", "repeat"]), TREES),
    min_size=1,
    max_size=3,
)


def change(body: Any, path: tuple[str | int, ...], how: str, value: Any) -> None:
    *outer, last = path
    for key in outer:
        try:
            body = body[key]
        except (KeyError, IndexError, TypeError):
            return  # Another change was there before.
    if isinstance(body, list) and isinstance(last, int) and last < len(body):
        if how == "set":
            body[last] = value
        elif how == "drop":
            del body[last]
        else:
            body.insert(last, body[last])
    elif isinstance(body, dict):
        if how == "drop":
            body.pop(last, None)
        else:
            body[last] = value


def check_usable(request: ChatRequest) -> None:
    messages = tuple(
        Message(
            role=message.role,
            content=tuple(part for part in message.parts if not isinstance(part, Recording)),
            tool_calls=message.tool_calls,
            tool_call_id=message.tool_call_id,
            name=message.name,
        )
        for message in request.messages
    )
    job = RespondJob(model="m", messages=messages, tools=request.tools, options=request.options)
    assert RespondJob.model_validate_json(job.model_dump_json()) == job
    orjson.dumps([request.body, request.metadata])
    for recording in request.recordings:
        assert recording.data and recording.param.encode()


def read_or_refuse(body: dict[str, Any], *, strict: bool) -> None:
    try:
        request = read_chat(body, MODEL, strict=strict)
    except AntiphonError as error:
        assert error.http_status == 400
        assert len(orjson.dumps(error_object(error.info()))) < 2000
    else:
        check_usable(request)


def test_the_whole_schema_is_read() -> None:
    check_usable(read_chat(copy.deepcopy(WHOLE), MODEL, strict=False))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES, strict=st.booleans())
def test_a_damaged_request_is_read_or_refused(changes: list[tuple[Any, str, Any]], strict: bool) -> None:
    body = copy.deepcopy(WHOLE)
    for path, how, value in changes:
        change(body, path, how, value)
    read_or_refuse(body, strict=strict)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.dictionaries(st.sampled_from(sorted(WHOLE)) | TEXTS, TREES, max_size=8), strict=st.booleans())
def test_any_object_is_read_or_refused(body: dict[str, Any], strict: bool) -> None:
    read_or_refuse(body, strict=strict)
