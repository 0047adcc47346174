from __future__ import annotations

import base64
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from antiphon.errors import AntiphonError
from antiphon.given import MaybeGiven
from antiphon.schemas import ImagePart, TextPart, ToolCall
from services.ingest.chat.request import Recording, SaidMessage
from services.ingest.parameters.chat_messages import read_messages

pytestmark = pytest.mark.unit

SOUND = b"RIFF\xff\xfe" * 100
ENCODED = base64.b64encode(SOUND).decode()
HELLO = {"role": "user", "content": "Hello."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OTHER = {**CALL, "id": "call_2"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL, OTHER]}
ANSWER = {"role": "tool", "tool_call_id": "call_1", "content": "1"}
OTHER_ANSWER = {"role": "tool", "tool_call_id": "call_2", "content": "2"}


def read(*messages: Any, strict: bool = False) -> tuple[SaidMessage, ...]:
    return read_messages(MaybeGiven(list(messages), "messages"), strict=strict)


def refusal(*messages: Any, strict: bool = False) -> AntiphonError:
    with pytest.raises(AntiphonError) as refused:
        read(*messages, strict=strict)
    assert refused.value.http_status == 400
    return refused.value


def said(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def spoken(data: Any = ENCODED, format_: Any = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": format_}}


def written(text: Any) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_developers_speak_as_the_system() -> None:
    assert [message.role for message in read({"role": "developer", "content": "Be brief."}, HELLO)] == [
        "system",
        "user",
    ]


def test_text_recordings_and_images_keep_their_order() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "original"}}
    (message,) = read({**said(written("Listen:"), spoken(), written(""), image), "name": "Ann"})
    assert message == SaidMessage(
        role="user",
        param="messages[0]",
        parts=(
            TextPart(text="Listen:"),
            Recording(data=SOUND, format="wav", param="messages[0].content[1].input_audio.data"),
            ImagePart(url="data:image/png;base64,AA==", detail="high"),
        ),
        name="Ann",
    )


def test_base64_may_be_broken_into_lines() -> None:
    (message,) = read(said(spoken(base64.encodebytes(SOUND).decode())))
    assert isinstance(message.parts[0], Recording)
    assert message.parts[0].data == SOUND


@pytest.mark.parametrize("format_", ["wav", "mp3", "flac", "m4a", "mp4", "ogg", "oga", "opus", "webm", "aac", "mpga"])
def test_whatever_can_be_decoded_may_be_sent(format_: str) -> None:
    (message,) = read(said(spoken(format_=format_)))
    assert isinstance(message.parts[0], Recording)
    assert message.parts[0].format == format_


def test_strictly_recordings_are_wav_or_mp3() -> None:
    error = refusal(said(spoken(format_="flac")), strict=True)
    assert error.message == "Invalid value: 'flac'. Supported values are: 'wav' and 'mp3'."
    assert error.param == "messages[0].content[0].input_audio.format"


def test_an_answer_of_the_sdk_may_be_sent_back_as_it_came() -> None:
    audio = {"id": "audio_1", "data": "AAAA", "expires_at": 1, "transcript": "Hi."}
    answer = ChatCompletionMessage.model_validate(
        {"role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": audio}
    )
    for strict in (False, True):
        message = read(HELLO, answer.model_dump(), HELLO, strict=strict)[1]
        assert message == SaidMessage(role="assistant", param="messages[1]", audio_id="audio_1")


def test_calls_and_their_answers_are_read() -> None:
    messages = read(HELLO, CALLS, OTHER_ANSWER, ANSWER, HELLO)
    assert messages[1].tool_calls == (
        ToolCall(id="call_1", name="f", arguments="{}"),
        ToolCall(id="call_2", name="f", arguments="{}"),
    )
    assert messages[2] == SaidMessage(
        role="tool", param="messages[2]", parts=(TextPart(text="2"),), tool_call_id="call_2"
    )


def test_an_assistant_may_have_refused() -> None:
    refused = TextPart(text="No.")
    for message in (
        {"role": "assistant", "refusal": "No."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ):
        assert read(HELLO, message)[1].parts == (refused,)


def test_messages_may_be_empty_text() -> None:
    assert read({"role": "user", "content": ""})[0].parts == ()
    assert read(HELLO, {"role": "assistant", "content": "", "tool_calls": []})[1].parts == ()


MISSING = "missing_required_parameter"
INVALID = "invalid_value"
WRONG_TYPE = "invalid_type"
UNSUPPORTED = "unsupported_value"


@pytest.mark.parametrize(
    ("message", "param", "code", "text"),
    [
        ("hi", "messages[0]", WRONG_TYPE, "expected an object, but got a string instead."),
        ({"content": "hi"}, "messages[0].role", MISSING, "Missing required parameter: 'messages[0].role'."),
        (
            {"role": "bot", "content": "hi"},
            "messages[0].role",
            INVALID,
            "Invalid value: 'bot'. Supported values are: 'system', 'assistant', 'user', 'tool', and 'developer'.",
        ),
        ({"role": "function", "name": "f", "content": "1"}, "messages[0].role", UNSUPPORTED, "'function'"),
        ({"role": "user"}, "messages[0].content", MISSING, "Missing required parameter: 'messages[0].content'."),
        ({"role": "user", "content": None}, "messages[0].content", MISSING, ""),
        ({"role": "assistant", "content": None}, "messages[0].content", MISSING, ""),
        (
            {"role": "user", "content": 5},
            "messages[0].content",
            WRONG_TYPE,
            "Invalid type for 'messages[0].content': expected one of a string or array of objects, "
            "but got an integer instead.",
        ),
        (said(), "messages[0].content", INVALID, "empty array"),
        (said("hi"), "messages[0].content[0]", WRONG_TYPE, "expected an object, but got a string instead."),
        (said({"text": "hi"}), "messages[0].content[0].type", MISSING, ""),
        (
            said({"type": "video"}),
            "messages[0].content[0].type",
            INVALID,
            "Invalid value: 'video'. Supported values are: 'text', 'image_url', and 'input_audio'.",
        ),
        (said({"type": "file", "file": {}}), "messages[0].content[0].type", UNSUPPORTED, "'file'"),
        (said({"type": "text"}), "messages[0].content[0].text", MISSING, ""),
        (said(written(["hi"])), "messages[0].content[0].text", WRONG_TYPE, "but got an array instead."),
        (said(written("\ud83d")), "messages[0].content[0].text", INVALID, "not valid Unicode"),
        ({"role": "system", "content": [spoken()]}, "messages[0].content[0].type", INVALID, "'text'."),
        ({"role": "assistant", "content": [spoken()]}, "messages[0].content[0].type", INVALID, "'text' and 'refusal'."),
        (said({"type": "image_url"}), "messages[0].content[0].image_url", MISSING, ""),
        (
            said({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
            "messages[0].content[0].image_url.url",
            INVALID,
            "invalid format",
        ),
        (
            said({"type": "image_url", "image_url": {"url": "https://a.b/c", "detail": "max"}}),
            "messages[0].content[0].image_url.detail",
            INVALID,
            "Invalid value: 'max'.",
        ),
        ({**HELLO, "name": "a b"}, "messages[0].name", INVALID, "string does not match pattern"),
        ({**HELLO, "name": "a" * 65}, "messages[0].name", INVALID, "string too long"),
        ({"role": "assistant", "audio": {}}, "messages[0].audio.id", MISSING, ""),
        ({"role": "assistant", "audio": "audio_1"}, "messages[0].audio", WRONG_TYPE, "expected an object"),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
            "messages[0].function_call",
            UNSUPPORTED,
            "Use 'tool_calls' instead.",
        ),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": None}]}, "messages[0].tool_calls[0].id", MISSING, ""),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]},
            "messages[0].tool_calls[0].type",
            UNSUPPORTED,
            "'custom'",
        ),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]},
            "messages[0].tool_calls[0].function.arguments",
            WRONG_TYPE,
            "expected a string, but got an object instead.",
        ),
        ({"role": "tool", "content": "1"}, "messages[0].tool_call_id", MISSING, ""),
    ],
)
def test_what_is_wrong_with_a_message_is_named(message: Any, param: str, code: str, text: str) -> None:
    error = refusal(message)
    assert (error.param, error.code) == (param, code)
    assert text in error.message


@pytest.mark.parametrize(
    ("part", "param", "code", "text"),
    [
        ({"type": "input_audio"}, "input_audio", MISSING, ""),
        ({"type": "input_audio", "input_audio": {"format": "wav"}}, "input_audio.data", MISSING, ""),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "input_audio.format", MISSING, ""),
        (
            spoken(7),
            "input_audio.data",
            WRONG_TYPE,
            "Invalid type for 'messages[0].content[1].input_audio.data': expected a string, "
            "but got an integer instead.",
        ),
        (spoken("data:audio/wav;base64,AAAA"), "input_audio.data", INVALID, "not a data URL"),
        (spoken("AAA"), "input_audio.data", INVALID, "it is not valid base64."),
        (spoken("AA-_"), "input_audio.data", INVALID, "it is not valid base64."),
        (spoken("AA==AA=="), "input_audio.data", INVALID, "it is not valid base64."),
        (spoken("é" * 4), "input_audio.data", INVALID, "it is not valid base64."),
        (spoken(""), "input_audio.data", "audio_too_short", "Audio file is too short."),
        (spoken(" \n"), "input_audio.data", "audio_too_short", "Audio file is too short."),
        (spoken(format_="midi"), "input_audio.format", INVALID, "Invalid value: 'midi'."),
    ],
)
def test_what_is_wrong_with_a_recording_is_named(part: Any, param: str, code: str, text: str) -> None:
    error = refusal(said(written("Listen:"), part))
    assert (error.param, error.code) == (f"messages[0].content[1].{param}", code)
    assert text in error.message


def test_a_conversation_has_messages() -> None:
    assert refusal().message == (
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
    )
    with pytest.raises(AntiphonError, match=r"Missing required parameter: 'messages'\.") as refused:
        read_messages(MaybeGiven(None, "messages"), strict=False)
    assert refused.value.param == "messages"


@pytest.mark.parametrize(
    ("messages", "param", "text"),
    [
        (
            (HELLO, ANSWER),
            "messages[1].role",
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
            "with 'tool_calls'.",
        ),
        ((ANSWER,), "messages[0].role", "preceeding"),
        (
            (CALLS, {**ANSWER, "tool_call_id": "call_3"}),
            "messages[1].tool_call_id",
            "'tool_call_id' of 'call_3' not found in 'tool_calls' of previous message.",
        ),
        ((CALLS, ANSWER, ANSWER), "messages[2].tool_call_id", "Duplicate value for 'tool_call_id' of 'call_1'."),
        (
            (CALLS, ANSWER, HELLO),
            "messages[2]",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: call_2",
        ),
        ((HELLO, CALLS), "messages", "did not have response messages: call_1, call_2"),
        ((CALLS, ANSWER, OTHER_ANSWER, HELLO, ANSWER), "messages[4].role", "preceeding"),
    ],
)
def test_every_call_is_answered_at_once(messages: tuple[Any, ...], param: str, text: str) -> None:
    error = refusal(*messages)
    assert (error.param, error.code) == (param, INVALID)
    assert text in error.message


def test_a_conversation_has_bounds() -> None:
    assert "maximum length 2048" in refusal(*[HELLO] * 2049).message
    assert "too many recordings" in refusal(*[said(*[spoken()] * 13)] * 5).message
    assert len(read(*[said(*[spoken()] * 16)] * 4)) == 4
    long = {"role": "user", "content": "x" * (2 * 1024 * 1024)}
    assert len(read(long, long)) == 2
    assert "too much text" in refusal(long, long, HELLO).message


def test_a_message_holds_no_more_than_20_mib_of_audio() -> None:
    half = base64.b64encode(bytes(10 * 1024 * 1024)).decode()
    assert len(read(said(spoken(half), spoken(half)))[0].parts) == 2
    error = refusal(said(spoken(half), spoken(half), spoken("AAAA")))
    assert "20971520 bytes" in error.message
    assert error.param == "messages[0].content[2].input_audio.data"
