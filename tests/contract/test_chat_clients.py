"""`/chat/completions` through every form of the official SDK, and the parameters that it offers."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import orjson
import pytest
import pytest_asyncio
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionMessageParam

from tests.contract.chat_models import ECHO, LOCAL
from tests.contract.chat_talk import (
    MISHEARD,
    check_whole,
    encode,
    misheard,
    records,
    says,
    seconds_of,
    streamed,
    transcribed,
    voiced,
)
from tests.contract.conftest import API_VERSION, Served

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120), pytest.mark.usefixtures("upstream")]

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there."}]
ECHOED = "You said: Hello there."
BEGINNINGS = {"mp3": (b"\xff", b"ID3"), "opus": (b"OggS",), "aac": (b"\xff",), "flac": (b"fLaC",)}
GREET: Any = {"type": "function", "function": {"name": "greet", "parameters": {"type": "object", "properties": {}}}}


@pytest_asyncio.fixture
async def async_client(platform: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=platform.base_url, api_key=platform.api_key, max_retries=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def length_s(platform: Served) -> float:
    """How long the answer takes to say."""
    with openai.OpenAI(base_url=platform.base_url, api_key=platform.api_key, max_retries=0) as client:
        answer = client.chat.completions.create(
            model=ECHO, messages=HELLO, modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"}
        )
        assert answer.choices[0].message.audio is not None
        return seconds_of(base64.b64decode(answer.choices[0].message.audio.data), "pcm16")


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac"])
def test_an_answer_is_a_whole_file_of_the_format_that_was_asked_for(
    client: openai.OpenAI, audio_format: Literal["mp3", "opus", "aac", "flac"], length_s: float
) -> None:
    answer = client.chat.completions.create(
        model=ECHO, messages=HELLO, modalities=["text", "audio"], audio={"voice": "alloy", "format": audio_format}
    )
    (choice,) = answer.choices
    assert choice.message.content is None
    assert choice.message.audio is not None
    assert choice.message.audio.transcript == ECHOED
    sound = base64.b64decode(choice.message.audio.data)
    assert sound.startswith(BEGINNINGS[audio_format])
    assert seconds_of(sound, audio_format) == pytest.approx(length_s, abs=0.25)


def test_the_sdk_puts_a_streamed_spoken_answer_together(client: openai.OpenAI, clips: Path, length_s: float) -> None:
    state: Any = ChatCompletionStreamState()
    said = (clips / "en/hello_world.wav").read_bytes()
    with client.chat.completions.create(
        model=ECHO,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": encode(said), "format": "wav"}},
                    {"type": "text", "text": "Why?"},
                ],
            }
        ],
        modalities=["text", "audio"],
        audio={"voice": "nova", "format": "pcm16"},
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        for chunk in stream:
            state.handle_chunk(chunk)
    whole = state.get_final_completion()
    (choice,) = whole.choices
    audio = choice.message.audio
    assert (choice.finish_reason, choice.message.content) == ("stop", None)
    assert misheard("You said: Hello world. Why?", audio.transcript) < MISHEARD
    pcm = base64.b64decode(audio.data, validate=True)
    assert misheard(audio.transcript, transcribed(client, pcm, "pcm16")) < MISHEARD
    assert audio.expires_at > whole.created
    assert whole.usage.completion_tokens_details.audio_tokens == pytest.approx(20 * seconds_of(pcm, "pcm16"), abs=1)


def test_the_sdks_own_stream_gathers_text_and_calls(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=ECHO, messages=HELLO) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        assert stream.get_final_completion().choices[0].message.content == "".join(deltas) == ECHOED
    with client.chat.completions.stream(model=ECHO, messages=HELLO, tools=[GREET], tool_choice="required") as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
        assert calls is not None
        (call,) = calls
        assert (call.function.name, call.function.arguments) == ("greet", "{}")


async def test_the_async_client_is_served_whole_and_streamed(async_client: openai.AsyncOpenAI) -> None:
    whole = await async_client.chat.completions.create(model=ECHO, messages=HELLO)
    assert whole.choices[0].message.content == ECHOED
    stream = await async_client.chat.completions.create(model=ECHO, messages=HELLO, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == ECHOED


async def test_eight_conversations_at_once_get_each_its_own_answer(async_client: openai.AsyncOpenAI) -> None:
    async def write(word: str) -> str:
        answer = await async_client.chat.completions.create(
            model="up-slow", messages=[{"role": "user", "content": word}]
        )
        return answer.choices[0].message.content or ""

    async def speak(word: str) -> tuple[str, bytes]:
        transcript, pcm = "", b""
        stream = await async_client.chat.completions.create(
            model="up-slow",
            messages=[{"role": "user", "content": word}],
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "pcm16"},
            stream=True,
        )
        async for chunk in stream:
            if (audio := chunk.choices[0].delta.audio) is not None:
                transcript += audio.transcript or ""
                pcm += base64.b64decode(audio.data or "")
        return transcript, pcm

    words = ("one", "two", "three", "four")
    spoken, written = await asyncio.gather(
        asyncio.gather(*(speak(word) for word in words)), asyncio.gather(*(write(word) for word in words))
    )
    expected = [f"You said: {word}" for word in words]
    assert written == [transcript for transcript, _ in spoken] == expected
    assert len({pcm for _, pcm in spoken}) == len(words)
    assert all(seconds_of(pcm, "pcm16") > 0.5 for _, pcm in spoken)


def test_azure_clients_are_served_at_the_address_of_a_deployment(platform: Served, azure: openai.AzureOpenAI) -> None:
    for name in (ECHO, "my talk"):
        assert azure.chat.completions.create(model=name, messages=HELLO).choices[0].message.content == ECHOED
    with openai.AzureOpenAI(
        azure_endpoint=platform.root_url,
        azure_deployment="my talk",
        api_key=platform.api_key,
        api_version=API_VERSION,
        max_retries=0,
    ) as client:
        chunks = list(client.chat.completions.create(model="ignored", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ECHOED
    assert {chunk.model for chunk in chunks} == {"my talk"}


def test_azures_v1_address_is_served_with_either_header(platform: Served, http: httpx.Client) -> None:
    with openai.OpenAI(base_url=f"{platform.root_url}/openai/v1", api_key=platform.api_key, max_retries=0) as client:
        assert client.chat.completions.create(model=ECHO, messages=HELLO).choices[0].message.content == ECHOED
    reply = httpx.post(
        f"{platform.root_url}/openai/v1/chat/completions?api-version=preview",
        json={"model": ECHO, "messages": HELLO},
        headers={"api-key": platform.api_key},
        trust_env=False,
    )
    assert reply.json()["choices"][0]["message"]["content"] == ECHOED


@pytest.mark.parametrize(("audio_format", "container"), [("mp3", "mp3"), ("opus", "wav")])
def test_a_model_that_hears_gets_the_recording_itself(
    http: httpx.Client, client: openai.OpenAI, audio_format: Literal["mp3", "opus"], container: str
) -> None:
    sound = client.audio.speech.create(
        model="tts-1", voice="nova", input="The tide is rising.", response_format=audio_format
    ).content
    # The API has names for two containers only; what a recording is, its own bytes tell.
    body = {"messages": [records(sound, "mp3")]}
    whole = http.post("/v1/chat/completions", json=body | {"model": "up-hears"}).json()
    text, length_s = whole["choices"][0]["message"]["content"], seconds_of(sound, audio_format)
    assert re.fullmatch(rf"I heard \d\.\d seconds of {container}\.", text), text
    assert float(text.split()[2]) == pytest.approx(length_s, abs=0.2)
    assert whole["usage"]["prompt_tokens_details"]["audio_tokens"] == pytest.approx(10 * length_s, abs=2)
    if audio_format == "mp3":
        deaf = http.post("/v1/chat/completions", json=body | {"model": ECHO}).json()
        assert misheard("You said: The tide is rising.", deaf["choices"][0]["message"]["content"]) < MISHEARD


@pytest.mark.parametrize("model", ["gpt-audio", "gpt-4o-mini-audio-preview"])
def test_the_hosted_models_names_are_answered(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say hi."}], max_completion_tokens=4
    )
    assert answer.model == model
    assert answer.choices[0].message.content


@pytest.mark.parametrize("model", [LOCAL, ECHO])
def test_an_answer_ends_where_it_is_told_to(client: openai.OpenAI, model: str) -> None:
    count: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "Count from one to twenty: one, two, three, four, five, six, and so on."}
    ]
    short = client.chat.completions.create(model=model, messages=count, max_completion_tokens=5, temperature=0)
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 5
    (choice,) = client.chat.completions.create(
        model=model, messages=count, stop=["four", "4"], max_completion_tokens=60, temperature=0
    ).choices
    assert choice.finish_reason == "stop"
    assert choice.message.content
    assert "four" not in choice.message.content
    assert "4" not in choice.message.content


def test_a_seed_makes_an_answer_again(client: openai.OpenAI) -> None:
    def tell(seed: int) -> str | None:
        answer = client.chat.completions.create(
            model=LOCAL,
            messages=[{"role": "user", "content": "Invent a name for a ship."}],
            temperature=1.5,
            seed=seed,
            max_completion_tokens=12,
        )
        assert (answer.system_fingerprint or "").startswith("fp_")
        return answer.choices[0].message.content

    assert tell(7) == tell(7)
    assert len({tell(seed) for seed in (1, 2, 3)}) > 1


def test_tokens_are_rated(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=LOCAL,
        messages=[{"role": "user", "content": "Say hi."}],
        logprobs=True,
        top_logprobs=2,
        max_completion_tokens=4,
        temperature=0,
    )
    (choice,) = answer.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)


def test_any_json_is_json(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=LOCAL,
        messages=[{"role": "user", "content": "Give me a JSON object with the keys name and age for Ada, who is 36."}],
        response_format={"type": "json_object"},
        max_completion_tokens=80,
        temperature=0,
    )
    assert isinstance(orjson.loads(answer.choices[0].message.content or ""), dict)


def test_usage_and_padding_come_only_when_they_are_asked_for(http: httpx.Client) -> None:
    body = {"model": ECHO, "messages": [says("Hi.")]}
    plain = streamed(http, body)
    assert not any("usage" in chunk or "obfuscation" in chunk for chunk in plain.chunks)
    both = streamed(http, {**body, "stream_options": {"include_usage": True, "include_obfuscation": True}})
    assert both.chunks[-1]["choices"] == []
    assert both.chunks[-1]["usage"]["total_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in both.chunks[:-1])
    assert any(chunk.get("obfuscation") for chunk in both.chunks)


def test_a_spoken_answer_may_also_be_a_call(http: httpx.Client) -> None:
    body = {"model": ECHO, "messages": [says("Hi.")], "tools": [GREET], "tool_choice": "required", **voiced("pcm16")}
    reply = http.post("/v1/chat/completions", json=body)
    check_whole(reply.json())
    (choice,) = reply.json()["choices"]
    assert (choice["finish_reason"], choice["message"].get("audio")) == ("tool_calls", None)
    answer = streamed(http, body)
    assert (answer.finish_reason, answer.audio) == ("tool_calls", [])
