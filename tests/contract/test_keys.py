"""Limited keys, as official clients meet them at the running platform."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.bus import Bus, Limits, Standing
from antiphon.keys import KeyRecord, Keys
from antiphon.settings import BusSettings
from tests.contract.conftest import API_VERSION, Served
from tests.eventually import eventually

pytestmark = pytest.mark.contract

Made = tuple[KeyRecord, str]
MakeKey = Callable[..., Made]


@pytest.fixture
def make_key(platform: Served) -> MakeKey:
    def make(limits: Limits, **terms: Any) -> Made:
        async def on_bus() -> Made:
            async with Bus.open(BusSettings(redis_url=platform.redis_url)) as bus:
                return await Keys(bus).create(name="contract", limits=limits, **terms)

        return asyncio.run(on_bus())

    return make


@pytest.fixture
def client_of(platform: Served) -> Iterator[Callable[[str], openai.OpenAI]]:
    with ExitStack() as stack:
        yield lambda key: stack.enter_context(
            openai.OpenAI(base_url=platform.base_url, api_key=key, max_retries=0, timeout=100)
        )


def standing_of(platform: Served, record: KeyRecord) -> Standing:
    async def look() -> Standing:
        async with Bus.open(BusSettings(redis_url=platform.redis_url)) as bus:
            return await bus.allowances.look(record.id, record.limits)

    return asyncio.run(look())


def test_the_sdk_raises_a_rate_limit_error_with_the_headers(
    make_key: MakeKey, client_of: Callable[[str], openai.OpenAI]
) -> None:
    _, key = make_key(Limits(requests_per_minute=2))
    client = client_of(key)
    for remaining in ("1", "0"):
        raw = client.models.with_raw_response.list()
        assert raw.headers["x-ratelimit-limit-requests"] == "2"
        assert raw.headers["x-ratelimit-remaining-requests"] == remaining
        assert raw.parse().data
    with pytest.raises(openai.RateLimitError) as refusal:
        client.models.list()
    assert (refusal.value.code, refusal.value.type) == ("rate_limit_exceeded", "requests")
    headers = refusal.value.response.headers
    assert 29 <= int(headers["retry-after"]) <= 30
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert "Please try again in" in refusal.value.message


def test_the_sdk_waits_as_long_as_it_is_told_and_then_gets_through(
    make_key: MakeKey, client_of: Callable[[str], openai.OpenAI]
) -> None:
    _, key = make_key(Limits(requests_per_minute=30))
    client = client_of(key)
    for _ in range(30):
        client.models.list()
    assert client.with_options(max_retries=1).models.list().data


def test_azure_clients_are_told_in_their_own_words(platform: Served, make_key: MakeKey) -> None:
    _, key = make_key(Limits(requests_per_minute=1))
    with openai.AzureOpenAI(
        azure_endpoint=platform.root_url, api_key=key, api_version=API_VERSION, max_retries=0
    ) as azure:
        azure.models.list()
        with pytest.raises(openai.RateLimitError, match="Please retry after") as refusal:
            azure.models.list()
        assert refusal.value.code == "429"
        assert refusal.value.response.headers["retry-after-ms"]


def test_a_model_that_is_not_the_keys_is_a_permission_denied(
    make_key: MakeKey, client_of: Callable[[str], openai.OpenAI], clips: Path
) -> None:
    _, key = make_key(Limits(), models=("tts-1",))
    client = client_of(key)
    # The other is a deployment of it.
    assert {model.id for model in client.models.list()} == {"tts-1", "my voice"}
    with pytest.raises(openai.PermissionDeniedError) as refusal, next(clips.rglob("*.wav")).open("rb") as file:
        client.audio.transcriptions.create(file=file, model="whisper-1")
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")


def test_what_is_spoken_and_what_is_heard_is_taken_from_the_audio_of_the_minute(
    platform: Served, make_key: MakeKey, client_of: Callable[[str], openai.OpenAI], tmp_path: Path
) -> None:
    record, key = make_key(Limits(audio_seconds_per_minute=4, concurrency=2))
    client = client_of(key)
    spoken = client.audio.speech.with_raw_response.create(
        model="tts-1", voice="alloy", input="Good morning. This is a sentence of a few seconds.", response_format="wav"
    )
    assert spoken.headers["x-ratelimit-limit-audio-seconds"] == "4"
    sound = tmp_path / "a.wav"
    sound.write_bytes(spoken.content)
    after_speech = standing_of(platform, record)
    assert after_speech.audio is not None
    assert after_speech.audio.remaining < 3
    assert after_speech.running == 0
    with pytest.raises(openai.RateLimitError) as refusal:
        for _ in range(5):
            heard = client.audio.transcriptions.with_raw_response.create(file=sound, model="whisper-1")
            assert heard.headers["x-ratelimit-limit-audio-seconds"] == "4"
    assert (refusal.value.type, refusal.value.code) == ("audio_seconds", "rate_limit_exceeded")
    assert refusal.value.response.headers["x-ratelimit-remaining-audio-seconds"] == "0"
    # It is the next request that pays for what this one has taken.
    assert client.models.list().data


async def test_a_conversation_takes_a_place_and_is_told_what_is_left(platform: Served) -> None:
    limits = Limits(requests_per_minute=30, audio_seconds_per_minute=600, concurrency=1)
    async with Bus.open(BusSettings(redis_url=platform.redis_url)) as bus:
        record, key = await Keys(bus).create(name="live", limits=limits)
        async with openai.AsyncOpenAI(
            base_url=platform.base_url,
            websocket_base_url=platform.base_url.replace("http", "ws", 1),
            api_key=key,
            max_retries=0,
        ) as client:
            async with client.realtime.connect(model="gpt-realtime") as connection:
                assert (await connection.recv()).type == "session.created"
                with pytest.raises(openai.RateLimitError, match="concurrent requests"):
                    await client.audio.speech.create(model="tts-1", voice="alloy", input="Hi.")
                second = "AAAA" * 16_000
                for _ in range(4):
                    await connection.input_audio_buffer.append(audio=second)

                async def is_counted() -> bool:
                    standing = await bus.allowances.look(record.id, limits)
                    assert standing.audio is not None
                    return standing.audio.remaining < 598

                await eventually(is_counted, within_s=10)

            async def is_free() -> bool:
                return (await bus.allowances.look(record.id, limits)).running == 0

            await eventually(is_free, within_s=10)
