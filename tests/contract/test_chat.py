"""`/chat/completions` through the official clients: the same conversations with every kind of language model."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import openai
import orjson
import pytest

from tests.contract.chat_models import ECHO, LOCAL, PEER, VOCAL_PEER
from tests.contract.chat_talk import (
    MISHEARD,
    check_whole,
    misheard,
    records,
    refers,
    says,
    seconds_of,
    streamed,
    transcribed,
    voiced,
)

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

SENTENCE = "The train leaves at noon."
FOX = "the quick brown fox jumps over the lazy dog"
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "description": "Forecast.", "parameters": WEATHER}}
]
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 30},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "likes": {"type": "array", "items": {"enum": ["tea", "coffee", "water"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "age", "likes"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Backend:
    """What answers. `echoes`: the answer is `You said: ` and what was said."""

    model: str
    echoes: bool


BACKENDS = {
    "a local model": Backend(LOCAL, echoes=False),
    "an upstream": Backend(ECHO, echoes=True),
    "another Antiphon": Backend(PEER, echoes=False),
    "another Antiphon that hears and speaks": Backend(VOCAL_PEER, echoes=True),
}


@pytest.fixture(scope="module", params=list(BACKENDS.values()), ids=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    if found.model in (PEER, VOCAL_PEER):
        request.getfixturevalue("second_door")
    elif found.model == ECHO:
        request.getfixturevalue("upstream")
    return found


def ask(http: httpx.Client, **body: Any) -> dict[str, Any]:
    """Return a whole completion, held to the official types."""
    reply = http.post("/v1/chat/completions", json={"temperature": 0, **body})
    assert reply.status_code == 200, reply.text
    completion: dict[str, Any] = reply.json()
    check_whole(completion)
    check_sums(completion["usage"])
    return completion


def check_sums(usage: dict[str, Any]) -> None:
    told, said = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] == told["audio_tokens"] + told["text_tokens"] + told["image_tokens"]
    assert usage["completion_tokens"] == said["audio_tokens"] + said["text_tokens"] + said["reasoning_tokens"]


def test_a_text_is_answered_whole_and_streamed(backend: Backend, http: httpx.Client) -> None:
    body = {"model": backend.model, "messages": [says(f"Repeat this: {SENTENCE}")], "max_completion_tokens": 16}
    whole = ask(http, **body)
    (choice,) = whole["choices"]
    assert whole["model"] == backend.model
    assert whole["usage"]["completion_tokens_details"]["audio_tokens"] == 0
    assert choice["message"].get("audio") is None
    if backend.echoes:
        assert choice["message"]["content"] == f"You said: Repeat this: {SENTENCE}"
    answer = streamed(http, {**body, "temperature": 0, "stream_options": {"include_usage": True}})
    assert (answer.text, answer.finish_reason) == (choice["message"]["content"], choice["finish_reason"])
    assert answer.deltas[0]["role"] == "assistant"
    assert answer.audio == []
    check_sums(answer.usage)
    assert answer.usage["completion_tokens"] == whole["usage"]["completion_tokens"]


def test_a_spoken_conversation(backend: Backend, http: httpx.Client, client: openai.OpenAI, clips: Path) -> None:
    clip = (clips / "en/quick_brown_fox.wav").read_bytes()
    asked = records(clip, "wav", "Why?")
    first = ask(http, model=backend.model, messages=[asked], max_completion_tokens=16, **voiced("wav"))
    (choice,) = first["choices"]
    audio = choice["message"]["audio"]
    assert choice["message"]["content"] is None
    if backend.echoes:
        assert misheard(f"You said: {FOX}. Why?", audio["transcript"]) < MISHEARD
    wav = base64.b64decode(audio["data"], validate=True)
    assert wav[:4] == b"RIFF"
    assert misheard(audio["transcript"], transcribed(client, wav, "wav")) < MISHEARD
    usage = first["usage"]
    assert usage["prompt_tokens_details"]["audio_tokens"] == pytest.approx(10 * seconds_of(clip, "wav"), abs=1)
    assert usage["completion_tokens_details"]["audio_tokens"] == pytest.approx(20 * seconds_of(wav, "wav"), abs=1)

    conversation = [asked, refers(audio["id"]), says(f"Repeat this: {SENTENCE}")]
    second = streamed(
        http,
        {"model": backend.model, "messages": conversation, "max_completion_tokens": 16, "temperature": 0}
        | voiced("pcm16")
        | {"stream_options": {"include_usage": True}},
    )
    assert second.text == ""
    assert second.audio_id.startswith("audio_")
    assert set(second.audio[-1]) == {"expires_at"}
    if backend.echoes:
        assert second.transcript == f"You said: Repeat this: {SENTENCE}"
    assert misheard(second.transcript, transcribed(client, second.pcm, "pcm16")) < MISHEARD
    check_sums(second.usage)
    assert second.usage["prompt_tokens_details"]["audio_tokens"] >= usage["prompt_tokens_details"]["audio_tokens"]
    spoken_s = seconds_of(second.pcm, "pcm16")
    assert second.usage["completion_tokens_details"]["audio_tokens"] == pytest.approx(20 * spoken_s, abs=1)


def test_a_function_is_called_and_its_result_heard(backend: Backend, http: httpx.Client) -> None:
    question = says("What will the weather be in Oslo for the next three days, in celsius?")
    body = {"model": backend.model, "tools": TOOLS, "messages": [question], "max_completion_tokens": 100}
    whole = ask(http, **body, tool_choice="required")
    (choice,) = whole["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert call["function"]["name"] == "get_weather"
    jsonschema.validate(orjson.loads(call["function"]["arguments"]), WEATHER)
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Sun, 21 degrees."}
    told = ask(http, **body | {"messages": [question, choice["message"], result]}, tool_choice="none")
    (answer,) = told["choices"]
    assert answer["message"].get("tool_calls") is None
    assert answer["message"]["content"]
    if backend.echoes:
        assert answer["message"]["content"] == "The function says: Sun, 21 degrees."


def test_json_is_of_the_schema_that_was_asked_for(backend: Backend, http: httpx.Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    whole = ask(
        http,
        model=backend.model,
        messages=[says("Ada is 36 and likes tea. Tell me about Ada in JSON.")],
        response_format=form,
        max_completion_tokens=100,
    )
    jsonschema.validate(orjson.loads(whole["choices"][0]["message"]["content"]), PERSON)
