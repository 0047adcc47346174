"""What a session begins with, and what updates make of it."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import (
    RealtimeSessionCreateRequest,
    RealtimeSessionCreateResponse,
    RealtimeTranscriptionSessionCreateRequest,
)

from antiphon.errors import InvalidRequest
from antiphon.realtime.session_object import Defaults, Known, merge_session, new_session, shown_session

pytestmark = pytest.mark.unit

KNOWN = Known(
    voices=("marin", "alloy", "voice_mine"),
    is_transcriber=lambda name: name in {"whisper-1", "gpt-4o-transcribe", "gpt-realtime-whisper"},
)
FUNCTION = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
SERVER = {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example/mcp"}


def conversation(**patch: Any) -> dict[str, Any]:
    session = new_session(
        "realtime",
        session_id="sess_1",
        model="gpt-realtime",
        expires_at=1_790_000_000,
        defaults=Defaults(instructions="Be brief."),
    )
    return update(session, **patch) if patch else session


def transcription(**patch: Any) -> dict[str, Any]:
    session = new_session(
        "transcription", session_id="sess_2", model=None, expires_at=1_790_000_000, defaults=Defaults()
    )
    return update(session, **patch) if patch else session


def update(session: dict[str, Any], *, has_spoken: bool = False, **patch: Any) -> dict[str, Any]:
    return merge_session(session, {"type": session["type"], **patch}, known=KNOWN, has_spoken=has_spoken)


def hearing(session: dict[str, Any], **patch: Any) -> dict[str, Any]:
    return update(session, audio={"input": patch})["audio"]["input"]  # type: ignore[no-any-return]


def refusal(session: dict[str, Any], patch: object, *, has_spoken: bool = False) -> tuple[str | None, str | None, str]:
    before = copy.deepcopy(session)
    with pytest.raises(InvalidRequest) as caught:
        merge_session(session, patch, known=KNOWN, has_spoken=has_spoken)
    assert session == before
    info = caught.value.info()
    assert (info.type, info.http_status, info.code) == ("invalid_request_error", 400, caught.value.code)
    return caught.value.code, caught.value.param, caught.value.message


def test_a_new_session_is_one_of_the_official_client() -> None:
    session = conversation()
    RealtimeSessionCreateRequest.model_validate(session)
    RealtimeSessionCreateResponse.model_validate(session)
    RealtimeTranscriptionSessionCreateRequest.model_validate(transcription())
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200


def test_what_is_absent_stays_and_what_is_there_is_merged_in() -> None:
    session = conversation(instructions="Sing.", audio={"output": {"speed": 1.25}})
    session = update(session, audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    assert session["instructions"] == "Sing."
    assert session["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "voice": "marin",
        "speed": 1.25,
    }
    assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.7
    assert session["audio"]["input"]["turn_detection"]["prefix_padding_ms"] == 300


def test_null_turns_off_and_empty_clears() -> None:
    session = conversation(
        tools=[FUNCTION],
        tracing=None,
        prompt={"id": "pmpt_1", "version": None, "variables": {"city": "Bern"}},
        include=["item.input_audio_transcription.logprobs"],
        audio={"input": {"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "near_field"}}},
    )
    assert session["prompt"] == {"id": "pmpt_1", "variables": {"city": "Bern"}}
    off = {"transcription": None, "noise_reduction": None, "turn_detection": None}
    session = update(session, tools=[], instructions="", prompt=None, include=None, audio={"input": off})
    assert (session["tools"], session["instructions"], session["prompt"], session["include"]) == ([], "", None, None)
    assert session["audio"]["input"] == {"format": {"type": "audio/pcm", "rate": 24000}, **off}


def test_null_where_nothing_can_be_off_says_nothing() -> None:
    nothing = {
        "output_modalities": None,
        "model": None,
        "audio": {"input": None, "output": {"voice": None, "format": None}},
    }
    assert conversation(**nothing) == conversation()


def test_the_echo_of_a_rich_session_is_one_of_the_official_client() -> None:
    session = conversation(
        output_modalities=["text"],
        model="gpt-realtime",
        tools=[{**FUNCTION, "strict": True, "description": "d"}, {**SERVER, "allowed_tools": {"read_only": True}}],
        tool_choice={"type": "mcp", "server_label": "docs", "name": "search"},
        parallel_tool_calls=False,
        reasoning={"effort": "high"},
        max_output_tokens=100,
        truncation={"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 2000}},
        tracing={"workflow_name": "w", "group_id": None, "metadata": {"a": 1}},
        audio={
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "whisper-1", "language": "en", "prompt": "", "keywords": ["Bern"]},
                "noise_reduction": {"type": "far_field", "strength": 0.5},
                "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
            },
            "output": {"format": {"type": "audio/pcma"}, "voice": {"id": "voice_mine"}, "speed": 0.5},
        },
    )
    parsed = RealtimeSessionCreateResponse.model_validate(session)
    assert orjson.loads(parsed.model_dump_json(exclude_unset=True)) == session
    assert session["audio"]["output"]["voice"] == "voice_mine"


@pytest.mark.parametrize(
    ("patch", "code", "param"),
    [
        (None, "missing_required_parameter", "session"),
        ([], "invalid_type", "session"),
        ({}, "missing_required_parameter", "session.type"),
        ({"type": None}, "missing_required_parameter", "session.type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": "realtime", "x": 1}, "unknown_parameter", "session.x"),
        ({"type": "realtime", "voice": "alloy"}, "unknown_parameter", "session.voice"),
        ({"type": "realtime", "model": "another"}, "invalid_value", "session.model"),
        ({"type": "realtime", "instructions": 1}, "invalid_type", "session.instructions"),
        ({"type": "realtime", "output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"type": "realtime", "output_modalities": ["video"]}, "invalid_value", "session.output_modalities[0]"),
        ({"type": "realtime", "max_output_tokens": 0}, "invalid_value", "session.max_output_tokens"),
        ({"type": "realtime", "max_output_tokens": 4097}, "invalid_value", "session.max_output_tokens"),
        ({"type": "realtime", "max_output_tokens": "many"}, "invalid_value", "session.max_output_tokens"),
        ({"type": "realtime", "max_output_tokens": True}, "invalid_type", "session.max_output_tokens"),
        ({"type": "realtime", "truncation": "some"}, "invalid_value", "session.truncation"),
        ({"type": "realtime", "include": ["all"]}, "invalid_value", "session.include[0]"),
        ({"type": "realtime", "tools": {}}, "invalid_type", "session.tools"),
        ({"type": "realtime", "tool_choice": "get_weather"}, "invalid_value", "session.tool_choice"),
        ({"type": "realtime", "audio": {"x": 1}}, "unknown_parameter", "session.audio.x"),
        ({"type": "realtime", "audio": {"output": {"speed": 1.6}}}, "invalid_value", "session.audio.output.speed"),
        ({"type": "realtime", "audio": {"output": {"voice": "nobody"}}}, "invalid_value", "session.audio.output.voice"),
        ({"type": "realtime", "audio": {"output": {"voice": 3}}}, "invalid_type", "session.audio.output.voice"),
        (
            {"type": "realtime", "audio": {"input": {"format": {"type": "audio/mp3"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"type": "realtime", "audio": {"input": {"transcription": {"language": "en"}}}},
            "missing_required_parameter",
            "session.audio.input.transcription.model",
        ),
        (
            {"type": "realtime", "audio": {"input": {"transcription": {"model": "tts-1"}}}},
            "invalid_value",
            "session.audio.input.transcription.model",
        ),
        (
            {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1", "language": "xx"}}}},
            "invalid_value",
            "session.audio.input.transcription.language",
        ),
        (
            {"type": "realtime", "audio": {"input": {"noise_reduction": {"type": "no_field"}}}},
            "invalid_value",
            "session.audio.input.noise_reduction.type",
        ),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": "0.5"}}}},
            "invalid_type",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "eagerness": "low"}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection.eagerness",
        ),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"idle_timeout_ms": 100}}}},
            "invalid_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
    ],
)
def test_a_wrong_update_is_refused_as_a_whole(patch: object, code: str, param: str) -> None:
    if isinstance(patch, dict) and patch.get("type") == "realtime":
        patch = {"instructions": "never taken over", **patch}
    assert refusal(conversation(), patch)[:2] == (code, param)


def test_the_words_of_the_refusals_are_those_that_clients_know() -> None:
    session = conversation()
    assert refusal(session, {"type": "realtime", "x": 1})[2] == "Unknown parameter: 'session.x'."
    assert refusal(session, {})[2] == "Missing required parameter: 'session.type'."
    speed = {"type": "realtime", "audio": {"output": {"speed": "fast"}}}
    assert refusal(session, speed)[2] == (
        "Invalid type for 'session.audio.output.speed': expected a decimal number, but got a string instead."
    )


def test_the_voice_stays_once_it_has_been_heard() -> None:
    session = conversation()
    assert update(session, audio={"output": {"voice": "alloy"}})["audio"]["output"]["voice"] == "alloy"
    patch = {"type": "realtime", "audio": {"output": {"voice": "alloy"}}}
    assert refusal(session, patch, has_spoken=True) == (
        "cannot_update_voice",
        "session.audio.output.voice",
        "Cannot update a conversation's voice if assistant audio is present.",
    )
    assert update(session, has_spoken=True, audio={"output": {"voice": "marin"}}) == session


def test_a_change_of_turn_detection_begins_anew_but_for_what_both_have() -> None:
    silence = {"type": "server_vad", "threshold": 0.9, "create_response": False, "idle_timeout_ms": 6000}
    session = conversation(audio={"input": {"turn_detection": silence}})
    semantic = hearing(session, turn_detection={"type": "semantic_vad", "eagerness": "high"})["turn_detection"]
    assert semantic == {
        "type": "semantic_vad",
        "eagerness": "high",
        "create_response": False,
        "interrupt_response": True,
    }
    session = update(session, audio={"input": {"turn_detection": semantic}})
    back = hearing(session, turn_detection={"type": "server_vad"})["turn_detection"]
    assert (back["threshold"], back["idle_timeout_ms"], back["create_response"]) == (0.5, None, False)


def test_turn_detection_takes_what_clients_write_out() -> None:
    session = conversation()
    assert hearing(session, turn_detection={"type": "none"})["turn_detection"] is None
    written = {"type": "semantic_vad", "threshold": None, "modelVersion": "1", "model_version": "default"}
    assert hearing(session, turn_detection=written)["turn_detection"]["eagerness"] == "auto"
    off = update(session, audio={"input": {"turn_detection": None}})
    assert refusal(off, {"type": "realtime", "audio": {"input": {"turn_detection": {"threshold": 0.5}}}})[1] == (
        "session.audio.input.turn_detection.type"
    )


def test_tracing_stays_once_it_is_on() -> None:
    session = conversation(tracing="auto")
    assert update(session, tracing="auto") == session
    for changed in (None, {"workflow_name": "w"}):
        assert refusal(session, {"type": "realtime", "tracing": changed})[1] == "session.tracing"


def test_tool_choice_in_all_its_forms() -> None:
    session = conversation(tools=[FUNCTION, SERVER])
    wanted = {"type": "function", "name": "get_weather"}
    assert update(session, tool_choice=wanted)["tool_choice"] == wanted
    nested = {"type": "function", "function": {"name": "get_weather"}}
    assert update(session, tool_choice=nested)["tool_choice"] == wanted
    server = {"type": "mcp", "server_label": "docs"}
    assert update(session, tool_choice=server)["tool_choice"] == server
    assert update(session, tool_choice="required")["tool_choice"] == "required"
    for wrong in ({"type": "function", "name": "other"}, {"type": "mcp", "server_label": "other"}):
        assert refusal(session, {"type": "realtime", "tool_choice": wrong})[:2] == (
            "invalid_value",
            "session.tool_choice",
        )


@pytest.mark.parametrize(
    ("tool", "code", "param"),
    [
        ({"type": "web_search"}, "invalid_value", "type"),
        ({"type": "function"}, "missing_required_parameter", "name"),
        ({"type": "function", "name": "a b"}, "invalid_value", "name"),
        ({"type": "function", "name": "f", "parameters": "{}"}, "invalid_type", "parameters"),
        ({"type": "function", "name": "f", "parameters": {"type": "string"}}, "invalid_value", "parameters"),
        ({"type": "function", "name": "f", "code": ""}, "unknown_parameter", "code"),
        ({"type": "mcp", "server_label": "d"}, "missing_required_parameter", "server_url"),
        ({**SERVER, "server_url": "ftp://a"}, "invalid_value", "server_url"),
        ({**SERVER, "connector_id": "connector_gmail"}, "unsupported_value", "connector_id"),
        ({**SERVER, "headers": {"X-A": "a\r\nX-B: b"}}, "invalid_value", "headers.X-A"),
        ({**SERVER, "require_approval": {"sometimes": {}}}, "unknown_parameter", "require_approval.sometimes"),
    ],
)
def test_a_wrong_tool_is_refused_by_its_place(tool: dict[str, Any], code: str, param: str) -> None:
    patch = {"type": "realtime", "tools": [FUNCTION, tool]}
    assert refusal(conversation(), patch)[:2] == (code, f"session.tools[1].{param}")


def test_schemas_of_functions_come_back_as_they_were() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"city": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        "additionalProperties": False,
    }
    tool = {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True}
    assert conversation(tools=[tool])["tools"] == [tool]
    assert refusal(conversation(), {"type": "realtime", "tools": [tool, tool]})[1] == "session.tools[1].name"


def test_what_proves_who_asks_is_shown_to_no_client() -> None:
    session = conversation(tools=[{**SERVER, "authorization": "secret", "headers": {"X-Key": "secret"}}])
    assert session["tools"][0]["authorization"] == "secret"
    assert shown_session(session)["tools"] == [SERVER]


def test_a_session_that_no_client_could_read_is_refused() -> None:
    tool = {"type": "function", "description": "x" * 60_000}
    tools = [{**tool, "name": f"f{number}"} for number in range(60)]
    assert refusal(conversation(), {"type": "realtime", "tools": tools})[:2] == ("invalid_value", "session")
    deep: Any = {}
    for _ in range(300):
        deep = {"properties": deep}
    patch = {"type": "realtime", "tools": [{"type": "function", "name": "f", "parameters": deep}]}
    assert refusal(conversation(), patch)[1] == "session.tools[0].parameters"


def test_a_transcription_session_has_no_output_and_never_answers() -> None:
    session = transcription(
        include=["item.input_audio_transcription.logprobs"],
        audio={
            "input": {
                "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                "turn_detection": {"type": "server_vad", "create_response": True, "threshold": 0.4},
            }
        },
    )
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.4,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
    }
    for patch, param in (
        ({"audio": {"output": {"voice": "alloy"}}}, "session.audio.output"),
        ({"instructions": "x"}, "session.instructions"),
        ({"model": "gpt-realtime"}, "session.model"),
    ):
        assert refusal(session, {"type": "transcription", **patch})[:2] == ("unknown_parameter", param)
    assert refusal(session, {"type": "realtime"})[2] == (
        "Passing a realtime session update event to a transcription session is not allowed."
    )


def test_a_model_that_hears_on_and_on_takes_no_turn_detection() -> None:
    live = {"model": "gpt-realtime-whisper", "delay": "low"}
    session = transcription(audio={"input": {"transcription": live}})
    assert session["audio"]["input"]["turn_detection"] is None
    patch = {"audio": {"input": {"transcription": live, "turn_detection": {"type": "server_vad"}}}}
    assert refusal(transcription(), {"type": "transcription", **patch})[1] == "session.audio.input.turn_detection"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(
    [
        ("instructions",),
        ("tools",),
        ("tool_choice",),
        ("output_modalities",),
        ("max_output_tokens",),
        ("truncation",),
        ("tracing",),
        ("prompt",),
        ("include",),
        ("reasoning",),
        ("parallel_tool_calls",),
        ("model",),
        ("audio",),
        ("audio", "input"),
        ("audio", "output", "voice"),
        ("audio", "output", "speed"),
        ("audio", "output", "format"),
        ("audio", "input", "format"),
        ("audio", "input", "transcription"),
        ("audio", "input", "noise_reduction"),
        ("audio", "input", "turn_detection"),
        ("audio", "input", "turn_detection", "type"),
        ("tools", 0),
    ]
)


@settings(max_examples=300, deadline=None)
@given(path=_FIELDS, value=_JSON)
def test_whatever_a_client_sends_is_taken_whole_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    session = conversation()
    before = copy.deepcopy(session)
    try:
        merged = merge_session(session, {"type": "realtime", **value}, known=KNOWN)
    except InvalidRequest as refused:
        assert refused.param is not None
        assert refused.param.startswith("session")
        assert refused.code in {"invalid_value", "invalid_type", "unknown_parameter", "missing_required_parameter"}
    else:
        RealtimeSessionCreateResponse.model_validate(merged)
        assert merge_session(merged, {"type": "realtime"}, known=KNOWN) == merged
    assert session == before
