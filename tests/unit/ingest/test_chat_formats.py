from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from antiphon.schemas import RatedToken, Reply, ReplyUsage, ToolCall, WrittenToken
from services.ingest.chat.request import ChatRequest
from services.ingest.formats.chat import AnswerAudio, Completion
from services.ingest.formats.chat_usage import usage_of

pytestmark = pytest.mark.unit

REPLY = Reply(
    text="Hi.",
    usage=ReplyUsage(prompt_tokens=9, completion_tokens=8, cached_tokens=4, reasoning_tokens=2),
    fingerprint="0a1b",
)
AUDIO = AnswerAudio(id="audio_1", data=b"RIFF....", expires_at=1_730_000_000, transcript="Hi.")


def completion(**options: Any) -> Completion:
    return Completion(id="chatcmpl-1", created=1, model="gpt-audio", request=ChatRequest(messages=(), **options))


def whole(reply: Reply, *, audio: AnswerAudio | None = None, **options: Any) -> dict[str, Any]:
    usage = usage_of(reply, heard_s=0.0, speech_s=0.0)
    body = completion(**options).whole(reply, usage=usage, audio=audio)
    ChatCompletion.model_validate(body, strict=True)
    return body


def test_an_answer_in_text() -> None:
    assert whole(REPLY) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-audio",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi.", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 8,
            "total_tokens": 17,
            "prompt_tokens_details": {"audio_tokens": 0, "text_tokens": 9, "cached_tokens": 4, "image_tokens": 0},
            "completion_tokens_details": {
                "audio_tokens": 0,
                "text_tokens": 6,
                "reasoning_tokens": 2,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0a1b",
    }


def test_the_words_of_a_spoken_answer_are_said_once() -> None:
    assert whole(REPLY, audio=AUDIO)["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "audio": {"id": "audio_1", "data": "UklGRi4uLi4=", "expires_at": 1_730_000_000, "transcript": "Hi."},
    }


def test_calls_leave_the_content_empty() -> None:
    reply = Reply(tool_calls=(ToolCall(id="call_1", name="f", arguments="{}"),), finish_reason="tool_calls")
    (choice,) = whole(reply)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


def test_a_refusal_is_not_content() -> None:
    message = whole(Reply(refusal="No."))["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "No.")


def test_an_answer_may_be_empty() -> None:
    message = whole(Reply())["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == ("", None)


def test_log_probabilities_are_shown_with_their_bytes() -> None:
    rated = RatedToken(token="Hi", logprob=-0.1, bytes=(72, 105))
    tokens = (WrittenToken(token="Hi", logprob=-0.1, bytes=(72, 105), top_logprobs=(rated,)),)
    (choice,) = whole(REPLY.model_copy(update={"logprobs": tokens}))["choices"]
    shown = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}
    assert choice["logprobs"] == {"content": [{**shown, "top_logprobs": [shown]}], "refusal": None}


def test_metadata_is_repeated_and_a_fingerprint_shown_when_there_is_one() -> None:
    body = whole(REPLY.model_copy(update={"fingerprint": None}), metadata={"topic": "weather"})
    assert body["metadata"] == {"topic": "weather"}
    assert "system_fingerprint" not in body
    upstream = whole(REPLY.model_copy(update={"fingerprint": "fp_9"}))
    assert upstream["system_fingerprint"] == "fp_9"


def test_sound_counts_by_its_length() -> None:
    usage = usage_of(REPLY, heard_s=1.25, speech_s=1.51)
    assert usage["prompt_tokens"] == 9 + 13
    assert usage["prompt_tokens_details"]["audio_tokens"] == 13
    assert usage["prompt_tokens_details"]["text_tokens"] == 9
    assert usage["completion_tokens"] == 8 + 31
    assert usage["completion_tokens_details"]["audio_tokens"] == 31
    assert usage["completion_tokens_details"]["text_tokens"] == 6
    assert usage["total_tokens"] == 22 + 39


def test_a_model_that_hears_and_speaks_has_counted_itself() -> None:
    counted = ReplyUsage(
        prompt_tokens=30,
        prompt_audio_tokens=20,
        prompt_image_tokens=4,
        completion_tokens=50,
        completion_audio_tokens=40,
    )
    usage = usage_of(Reply(usage=counted), heard_s=9.0, speech_s=9.0)
    assert usage["prompt_tokens"] == 30
    assert usage["prompt_tokens_details"] == {
        "audio_tokens": 20,
        "text_tokens": 6,
        "cached_tokens": 0,
        "image_tokens": 4,
    }
    assert usage["completion_tokens"] == 50
    assert usage["completion_tokens_details"]["audio_tokens"] == 40
    assert usage["completion_tokens_details"]["text_tokens"] == 10
