"""The beta dialect: what old clients send and are sent."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.beta.realtime.realtime_server_event import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter

from antiphon.errors import InvalidRequest
from antiphon.realtime.beta import BetaDialect, speaks_ga
from antiphon.realtime.items import read_item
from antiphon.realtime.response_object import merge_response
from antiphon.realtime.session_object import Defaults, Known, merge_session, new_session

pytestmark = pytest.mark.unit

KNOWN = Known(voices=None, is_transcriber=lambda name: name == "whisper-1")
_GA: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_BETA: TypeAdapter[Any] = TypeAdapter(BetaServerEvent)

WHERE = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
CALL = {"id": "item_f", "object": "realtime.item", "type": "function_call", "call_id": "call_1", "name": "f"}
TOOL_CALL = {"id": "mcp_1", "type": "mcp_call", "server_label": "docs", "name": "f", "arguments": "{}"}
FORMAT = {"type": "audio/pcm", "rate": 24000}
USAGE = {
    "total_tokens": 3,
    "input_tokens": 2,
    "output_tokens": 1,
    "input_token_details": {
        "text_tokens": 1,
        "audio_tokens": 1,
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 1, "audio_tokens": 0},
}


def session(kind: Any = "realtime", **patch: Any) -> dict[str, Any]:
    made = new_session(kind, session_id="sess_1", model="gpt-realtime", expires_at=9, defaults=Defaults())
    return merge_session(made, {"type": kind, **patch}, known=KNOWN)


def said(*content: dict[str, Any], role: str = "assistant", status: str = "completed") -> dict[str, Any]:
    return {
        "id": "item_a",
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": role,
        "content": list(content),
    }


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "completed",
        "status_details": None,
        "output": list(output),
        "conversation_id": "conv_1",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {"output": {"format": FORMAT, "voice": "marin"}},
        "usage": USAGE,
        "metadata": None,
        **more,
    }


SPOKEN = said({"type": "output_audio", "transcript": "Hi."})
WRITTEN = said({"type": "output_text", "text": "Hi."})
HEARD = said({"type": "input_audio", "transcript": None}, role="user")
TRANSCRIBED = "conversation.item.input_audio_transcription"
AT = {"item_id": "item_a", "content_index": 0}

EVENTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "session.created": ({"session": session()}, "session.created"),
    "session.updated": ({"session": session(tools=[])}, "session.updated"),
    "conversation.created": (
        {"conversation": {"id": "conv_1", "object": "realtime.conversation"}},
        "conversation.created",
    ),
    "conversation.item.added": ({"item": SPOKEN, "previous_item_id": None}, "conversation.item.created"),
    "conversation.item.done": ({"item": SPOKEN, "previous_item_id": None}, None),
    "conversation.item.retrieved": ({"item": SPOKEN}, "conversation.item.retrieved"),
    "conversation.item.truncated": ({**AT, "audio_end_ms": 9}, "conversation.item.truncated"),
    "conversation.item.deleted": ({"item_id": "item_a"}, "conversation.item.deleted"),
    f"{TRANSCRIBED}.delta": ({**AT, "delta": "Hi"}, f"{TRANSCRIBED}.delta"),
    f"{TRANSCRIBED}.completed": (
        {**AT, "transcript": "Hi", "usage": {"type": "duration", "seconds": 1.5}, "languages": [{"code": "en"}]},
        f"{TRANSCRIBED}.completed",
    ),
    f"{TRANSCRIBED}.failed": ({**AT, "error": {"type": "t", "message": "m"}}, f"{TRANSCRIBED}.failed"),
    f"{TRANSCRIBED}.segment": ({**AT, "id": "s", "text": "Hi", "speaker": "A", "start": 0.0, "end": 1.0}, None),
    "input_audio_buffer.committed": ({"item_id": "item_a", "previous_item_id": None}, "input_audio_buffer.committed"),
    "input_audio_buffer.cleared": ({}, "input_audio_buffer.cleared"),
    "input_audio_buffer.speech_started": ({"item_id": "i", "audio_start_ms": 1}, "input_audio_buffer.speech_started"),
    "input_audio_buffer.speech_stopped": ({"item_id": "i", "audio_end_ms": 1}, "input_audio_buffer.speech_stopped"),
    "input_audio_buffer.timeout_triggered": ({"item_id": "i", "audio_start_ms": 1, "audio_end_ms": 2}, None),
    "input_audio_buffer.dtmf_event_received": ({"event": "9", "received_at": 1}, None),
    "output_audio_buffer.started": ({"response_id": "resp_1"}, "output_audio_buffer.started"),
    "output_audio_buffer.stopped": ({"response_id": "resp_1"}, "output_audio_buffer.stopped"),
    "output_audio_buffer.cleared": ({"response_id": "resp_1"}, "output_audio_buffer.cleared"),
    "response.created": ({"response": response(status="in_progress", usage=None)}, "response.created"),
    "response.done": ({"response": response(SPOKEN, TOOL_CALL)}, "response.done"),
    "response.output_item.added": (
        {"response_id": "resp_1", "output_index": 0, "item": said(status="in_progress")},
        "response.output_item.added",
    ),
    "response.output_item.done": (
        {"response_id": "resp_1", "output_index": 0, "item": WRITTEN},
        "response.output_item.done",
    ),
    "response.content_part.added": (
        {**WHERE, "part": {"type": "audio", "transcript": ""}},
        "response.content_part.added",
    ),
    "response.content_part.done": ({**WHERE, "part": {"type": "text", "text": "Hi."}}, "response.content_part.done"),
    "response.output_text.delta": ({**WHERE, "delta": "Hi"}, "response.text.delta"),
    "response.output_text.done": ({**WHERE, "text": "Hi"}, "response.text.done"),
    "response.output_audio.delta": ({**WHERE, "delta": "AAAA"}, "response.audio.delta"),
    "response.output_audio.done": ({**WHERE}, "response.audio.done"),
    "response.output_audio_transcript.delta": ({**WHERE, "delta": "Hi"}, "response.audio_transcript.delta"),
    "response.output_audio_transcript.done": ({**WHERE, "transcript": "Hi"}, "response.audio_transcript.done"),
    "response.function_call_arguments.delta": (
        {"response_id": "r", "item_id": "i", "output_index": 0, "call_id": "c", "delta": "{"},
        "response.function_call_arguments.delta",
    ),
    "response.function_call_arguments.done": (
        {"response_id": "r", "item_id": "i", "output_index": 0, "call_id": "c", "name": "f", "arguments": "{}"},
        "response.function_call_arguments.done",
    ),
    "response.mcp_call_arguments.delta": (
        {"response_id": "r", "item_id": "i", "output_index": 0, "delta": "{}", "obfuscation": "x"},
        None,
    ),
    "response.mcp_call_arguments.done": (
        {"response_id": "r", "item_id": "i", "output_index": 0, "arguments": "{}"},
        None,
    ),
    "response.mcp_call.in_progress": ({"output_index": 0, "item_id": "i"}, None),
    "response.mcp_call.completed": ({"output_index": 0, "item_id": "i"}, None),
    "response.mcp_call.failed": ({"output_index": 0, "item_id": "i"}, None),
    "mcp_list_tools.in_progress": ({"item_id": "i"}, None),
    "mcp_list_tools.completed": ({"item_id": "i"}, None),
    "mcp_list_tools.failed": ({"item_id": "i"}, None),
    "rate_limits.updated": (
        {"rate_limits": [{"name": "requests", "limit": 1, "remaining": 1, "reset_seconds": 60.0}]},
        "rate_limits.updated",
    ),
    "error": (
        {"error": {"type": "invalid_request_error", "code": "c", "message": "m", "param": None, "event_id": None}},
        "error",
    ),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_every_server_event_has_its_like_or_none(kind: str) -> None:
    fields, name = EVENTS[kind]
    event = {"type": kind, "event_id": "event_1", **fields}
    _GA.validate_python(event)
    sent = BetaDialect().from_ga(event)
    assert [each["type"] for each in sent] == ([] if name is None else [name])
    for each in sent:
        if kind not in {"session.created", "session.updated"}:  # its schema knows eight models
            assert _BETA.validate_python(each).type == name
        assert each["event_id"] == "event_1"
    assert event == {"type": kind, "event_id": "event_1", **fields}


def test_the_session_is_flat() -> None:
    ga = session(
        audio={
            "input": {"format": {"type": "audio/pcmu"}, "noise_reduction": {"type": "near_field"}},
            "output": {"format": {"type": "audio/pcma"}, "voice": "alloy"},
        }
    )
    (sent,) = BetaDialect().from_ga({"type": "session.created", "event_id": "e", "session": ga})
    assert sent["session"] == {
        "id": "sess_1",
        "object": "realtime.session",
        "expires_at": 9,
        "model": "gpt-realtime",
        "modalities": ["text", "audio"],
        "instructions": "",
        "voice": "alloy",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_alaw",
        "input_audio_transcription": None,
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "create_response": True,
            "interrupt_response": True,
        },
        "tools": [],
        "tool_choice": "auto",
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
        "speed": 1.0,
        "tracing": None,
    }
    assert _BETA.validate_python(sent).type == "session.created"


def test_the_response_and_its_items_have_the_old_names() -> None:
    (sent,) = BetaDialect().from_ga({"type": "response.done", "event_id": "e", "response": response(SPOKEN, TOOL_CALL)})
    done = sent["response"]
    assert (done["modalities"], done["voice"], done["output_audio_format"]) == (["text", "audio"], "marin", "pcm16")
    assert (done["temperature"], done["max_output_tokens"]) == (0.8, "inf")
    assert [item["content"] for item in done["output"]] == [[{"type": "audio", "transcript": "Hi."}]]
    assert done["usage"]["input_token_details"] == {"text_tokens": 1, "audio_tokens": 1, "cached_tokens": 0}
    assert not {"audio", "output_modalities"} & done.keys()


def test_items_of_servers_are_not_told() -> None:
    event = {"type": "conversation.item.added", "event_id": "e", "item": TOOL_CALL, "previous_item_id": None}
    assert BetaDialect().from_ga(event) == []


def test_a_flat_update_does_what_the_nested_one_does() -> None:
    flat = {
        "modalities": ["text"],
        "instructions": "Sing.",
        "voice": "alloy",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1", "language": "en"},
        "input_audio_noise_reduction": {"type": "far_field"},
        "turn_detection": None,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "temperature": 0.9,
        "max_response_output_tokens": 100,
        "speed": 1.5,
        "tracing": "auto",
        "client_secret": {"expires_after": {"anchor": "created_at"}},
    }
    dialect = BetaDialect()
    update = dialect.to_ga({"type": "session.update", "session": flat})
    merged = merge_session(session(), update["session"], known=KNOWN)
    assert merged["output_modalities"] == ["text"]
    assert merged["audio"]["input"] == {
        "format": {"type": "audio/pcmu"},
        "transcription": {"model": "whisper-1", "language": "en"},
        "noise_reduction": {"type": "far_field"},
        "turn_detection": None,
    }
    assert merged["audio"]["output"] == {"format": FORMAT, "voice": "alloy", "speed": 1.5}
    (sent,) = dialect.from_ga({"type": "session.updated", "event_id": "e", "session": merged})
    told = {**flat, "tool_choice": {"type": "function", "name": "f"}}
    del told["client_secret"]
    assert {name: sent["session"][name] for name in told} == told


def test_a_transcription_session_is_updated_in_its_own_words() -> None:
    dialect = BetaDialect()
    ga = session("transcription")
    assert dialect.from_ga({"type": "session.created", "event_id": "e", "session": ga})[0]["type"] == "session.created"
    flat = {
        "input_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1", "prompt": ""},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
        "include": ["item.input_audio_transcription.logprobs"],
        "modalities": ["text"],
    }
    update = dialect.to_ga({"type": "transcription_session.update", "event_id": "mine", "session": flat})
    assert (update["type"], update["event_id"]) == ("session.update", "mine")
    merged = merge_session(ga, update["session"], known=KNOWN)
    (sent,) = dialect.from_ga({"type": "session.updated", "event_id": "e", "session": merged})
    assert _BETA.validate_python(sent).type == "transcription_session.updated"
    assert sent["session"]["input_audio_transcription"] == {"model": "whisper-1", "prompt": ""}
    assert sent["session"]["turn_detection"]["silence_duration_ms"] == 500


def test_a_temperature_holds_only_if_its_update_does() -> None:
    dialect = BetaDialect()
    refused = dialect.to_ga({"type": "session.update", "session": {"temperature": 1.2, "voice": 7}})
    taken = dialect.to_ga({"type": "session.update", "session": {"temperature": 0.6}})
    error = {"type": "invalid_request_error", "code": "invalid_type", "message": "m", "event_id": refused["event_id"]}
    (told,) = dialect.from_ga({"type": "error", "event_id": "e1", "error": error})
    assert told["error"]["event_id"] is None
    assert taken["event_id"] != refused["event_id"]
    (updated,) = dialect.from_ga({"type": "session.updated", "event_id": "e2", "session": session()})
    assert updated["session"]["temperature"] == 0.6
    (created,) = dialect.from_ga({"type": "response.created", "event_id": "e3", "response": response()})
    assert created["response"]["temperature"] == 0.6


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.update", "session": {"temperature": 2}}, "invalid_value", "session.temperature"),
        ({"type": "session.update", "session": {"temperature": "hot"}}, "invalid_type", "session.temperature"),
        ({"type": "session.update", "session": {"modalities": ["audio"]}}, "invalid_value", "session.modalities"),
        (
            {"type": "session.update", "session": {"input_audio_format": "mp3"}},
            "invalid_value",
            "session.input_audio_format",
        ),
        ({"type": "session.update", "session": {"audio": {}}}, "unknown_parameter", "session.audio"),
        ({"type": "response.create", "response": {"temperature": 0.1}}, "invalid_value", "response.temperature"),
        (
            {"type": "response.create", "response": {"output_audio_format": 1}},
            "invalid_type",
            "response.output_audio_format",
        ),
    ],
)
def test_what_the_new_dialect_has_no_words_for_is_refused_here(event: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        BetaDialect().to_ga(event)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("param", "told"),
    [
        ("session.audio.input.turn_detection.threshold", "session.turn_detection.threshold"),
        ("session.audio.input.transcription.model", "session.input_audio_transcription.model"),
        ("session.audio.output.format.type", "session.output_audio_format"),
        ("session.audio.output.voice", "session.voice"),
        ("session.max_output_tokens", "session.max_response_output_tokens"),
        ("session.output_modalities", "session.modalities"),
        ("session.tools[0].name", "session.tools[0].name"),
        ("response.audio.output.voice", "response.voice"),
        ("item.content[0].text", "item.content[0].text"),
        (None, None),
    ],
)
def test_errors_name_what_the_client_has_sent(param: str | None, told: str | None) -> None:
    error = {"type": "t", "code": "c", "message": f"Invalid '{param}': no.", "param": param, "event_id": "mine"}
    (sent,) = BetaDialect().from_ga({"type": "error", "event_id": "e", "error": error})
    assert sent["error"] == {**error, "param": told, "message": f"Invalid '{told}': no."}


def test_items_and_responses_are_understood_in_the_old_words() -> None:
    dialect = BetaDialect()
    item = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi."}]}
    create = dialect.to_ga({"type": "conversation.item.create", "item": item, "previous_item_id": "root"})
    assert read_item(create["item"])["content"] == [{"type": "output_text", "text": "Hi."}]
    options = {
        "modalities": ["text", "audio"],
        "voice": "alloy",
        "output_audio_format": "g711_ulaw",
        "temperature": 0.7,
        "max_response_output_tokens": 7,
        "conversation": "none",
        "input": [item, {"type": "item_reference", "id": "item_1"}],
    }
    event = dialect.to_ga({"type": "response.create", "response": options})
    settings = merge_response(session(), event["response"], known=KNOWN)
    assert settings["audio"]["output"] == {"format": {"type": "audio/pcmu"}, "voice": "alloy", "speed": 1.0}
    assert (settings["max_output_tokens"], settings["output_modalities"]) == (7, ["audio"])
    assert [each["type"] for each in settings["input"]] == ["message", "item_reference"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "input_audio_buffer.commit"},
        {"type": "response.create"},
        {"type": "response.create", "response": None},
        {"type": "conversation.item.create"},
        {"type": "conversation.item.create", "item": "hi"},
        {"type": "no.such.event"},
        {},
    ],
)
def test_what_is_not_understood_goes_on_as_it_is(event: dict[str, Any]) -> None:
    assert BetaDialect().to_ga(event) == event


def test_a_client_of_the_new_dialect_is_known_by_its_first_update() -> None:
    assert speaks_ga({"type": "session.update", "session": {"type": "realtime"}})
    assert speaks_ga({"type": "session.update", "session": {"audio": {}}})
    assert not speaks_ga({"type": "session.update", "session": {"voice": "alloy"}})
    assert not speaks_ga({"type": "response.create"})
    assert not speaks_ga({"type": "session.update"})
