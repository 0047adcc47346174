"""`/audio/speech` through the official client."""

from __future__ import annotations

import base64
import io
import itertools
import time
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import orjson
import pytest

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

TEXT = "The train leaves at noon."
VOICES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "onyx",
    "nova",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def seconds_of(audio: bytes, audio_format: str) -> float:
    if audio_format == "pcm":
        return len(audio) / 2 / 24_000
    with av.open(io.BytesIO(audio), "r") as container:
        frames = list(container.decode(audio=0))
        return float(sum(frame.samples for frame in frames) / frames[0].sample_rate)


@pytest.fixture(scope="module")
def length_s(platform: Any) -> float:
    """How long the text takes to say."""
    with openai.OpenAI(base_url=platform.base_url, api_key=platform.api_key, max_retries=0) as client:
        speech = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm")
        return seconds_of(speech.content, "pcm")


@pytest.mark.parametrize("audio_format", list(MEDIA_TYPES))
def test_every_format_is_whole_and_says_what_it_is(client: openai.OpenAI, audio_format: Any, length_s: float) -> None:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=audio_format)
    assert speech.response.headers["content-type"] == MEDIA_TYPES[audio_format]
    assert seconds_of(speech.content, audio_format) == pytest.approx(length_s, abs=0.25)


def test_the_default_is_mp3(client: openai.OpenAI) -> None:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT)
    assert speech.response.headers["content-type"] == "audio/mpeg"


def test_pcm_is_not_silent_and_not_noise(client: openai.OpenAI) -> None:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm")
    samples = np.frombuffer(speech.content, "<i2").astype(np.float64) / 32768
    assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.5


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_changes_the_length(client: openai.OpenAI, speed: float, length_s: float) -> None:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm", speed=speed)
    assert seconds_of(speech.content, "pcm") == pytest.approx(length_s / speed, rel=0.25)


def test_every_voice_speaks_and_none_like_another(client: openai.OpenAI) -> None:
    spoken = {
        voice: client.audio.speech.create(
            model="gpt-4o-mini-tts", voice=voice, input="Yes.", response_format="pcm"
        ).content
        for voice in VOICES
    }
    assert all(len(audio) > 4800 for audio in spoken.values())
    for one, other in itertools.combinations(VOICES, 2):
        assert spoken[one] != spoken[other], (one, other)


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd", "tts", "tts-hd", "gpt-4o-mini-tts"])
def test_every_public_name_speaks(client: openai.OpenAI, model: str) -> None:
    speech = client.audio.speech.create(
        model=model, voice="nova", input="Yes.", instructions="Cheerfully.", response_format="wav"
    )
    assert seconds_of(speech.content, "wav") > 0.2


def test_the_first_sentence_arrives_before_the_last_is_spoken(client: openai.OpenAI) -> None:
    text = "This is the first of a number of sentences. " * 6
    started = time.monotonic()
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=text, response_format="pcm"
    ) as response:
        pieces = response.iter_bytes()
        next(pieces)
        first_s = time.monotonic() - started
        for _ in pieces:
            pass
        last_s = time.monotonic() - started
    assert first_s < last_s / 2


async def test_speech_is_streamed_asynchronously_to_a_file(platform: Any, tmp_path: Path, length_s: float) -> None:
    path = tmp_path / "speech.wav"
    async with (
        openai.AsyncOpenAI(base_url=platform.base_url, api_key=platform.api_key) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=TEXT, response_format="wav"
        ) as response,
    ):
        await response.stream_to_file(path)
    assert seconds_of(path.read_bytes(), "wav") == pytest.approx(length_s, abs=0.25)


def test_events_carry_one_valid_file(http: httpx.Client, length_s: float) -> None:
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": TEXT, "stream_format": "sse"}
    with http.stream("POST", "/v1/audio/speech", json=body | {"response_format": "mp3"}) as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        data = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    *deltas, done = map(orjson.loads, data[:-1])
    assert all(event["type"] == "speech.audio.delta" for event in deltas)
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert seconds_of(audio, "mp3") == pytest.approx(length_s, abs=0.25)
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]


def test_a_voice_may_be_an_object(http: httpx.Client) -> None:
    reply = http.post("/v1/audio/speech", json={"model": "tts-1", "voice": {"id": "nova"}, "input": "Yes."})
    assert reply.status_code == 200


def test_the_longest_input_is_spoken_from_its_beginning(http: httpx.Client) -> None:
    text = ("A word and another one. " * 200)[:4096]
    with http.stream("POST", "/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": text}) as reply:
        assert reply.status_code == 200
        assert next(reply.iter_raw())


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"input": ""}, "input", "invalid_value"),
        ({"input": "x" * 4097}, "input", "invalid_value"),
        ({"voice": "nobody"}, "voice", "invalid_value"),
        ({"voice": None}, "voice", "missing_required_parameter"),
        ({"speed": 9}, "speed", "invalid_value"),
        ({"speed": 0.1}, "speed", "invalid_value"),
        ({"response_format": "midi"}, "response_format", "invalid_value"),
        ({"stream_format": "sse"}, "stream_format", "unsupported_value"),
        ({"model": "nobody"}, "model", "model_not_found"),
    ],
)
def test_a_wrong_parameter_is_named_in_the_error(
    client: openai.OpenAI, change: dict[str, Any], param: str, code: str
) -> None:
    body: Any = {"model": "tts-1", "voice": "alloy", "input": TEXT, **change}
    with pytest.raises(openai.APIStatusError) as raised:
        client.audio.speech.create(**body)
    assert raised.value.status_code == (404 if code == "model_not_found" else 400)
    assert (raised.value.param, raised.value.code) == (param, code)
