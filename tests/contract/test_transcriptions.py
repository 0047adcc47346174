"""`/audio/transcriptions` through the official client."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from antiphon.cli.wer import word_error_rate

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

FOX = "en/quick_brown_fox.wav"
SAID = "The quick brown fox jumps over the lazy dog."
TEXT_MODELS = ("whisper-1", "whisper", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")


@pytest.fixture
def fox(clips: Path) -> Path:
    return clips / FOX


def close(heard: str, said: str = SAID) -> bool:
    return word_error_rate(said, heard) <= 0.12


@pytest.mark.parametrize("model", TEXT_MODELS)
def test_every_public_name_transcribes(client: openai.OpenAI, fox: Path, model: str) -> None:
    transcription = client.audio.transcriptions.create(model=model, file=fox, language="en")
    assert close(transcription.text), transcription.text
    assert transcription.usage is not None
    assert transcription.usage.type == ("duration" if model.startswith("whisper") else "tokens")


def test_json_reports_what_it_cost(client: openai.OpenAI, fox: Path) -> None:
    whisper = client.audio.transcriptions.create(model="whisper-1", file=fox)
    assert whisper.usage is not None
    assert whisper.usage.type == "duration"
    assert whisper.usage.seconds == 3 or whisper.usage.seconds == 4
    gpt = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=fox)
    assert gpt.usage is not None
    assert gpt.usage.type == "tokens"
    assert gpt.usage.total_tokens == gpt.usage.input_tokens + gpt.usage.output_tokens
    assert gpt.usage.output_tokens > 0


def test_text_is_a_bare_string(client: openai.OpenAI, fox: Path) -> None:
    heard = client.audio.transcriptions.create(model="whisper-1", file=fox, response_format="text")
    assert isinstance(heard, str)
    assert heard.endswith("\n")
    assert close(heard), heard


def test_srt_is_numbered_cues(client: openai.OpenAI, fox: Path) -> None:
    body = client.audio.transcriptions.create(model="whisper-1", file=fox, response_format="srt")
    assert isinstance(body, str)
    lines = body.splitlines()
    assert lines[0] == "1"
    assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", lines[1])
    assert close(lines[2]), body


def test_vtt_has_its_header(client: openai.OpenAI, fox: Path) -> None:
    body = client.audio.transcriptions.create(model="whisper-1", file=fox, response_format="vtt")
    assert isinstance(body, str)
    lines = body.splitlines()
    assert lines[:2] == ["WEBVTT", ""]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", lines[2])
    assert close(lines[3]), body


def test_verbose_json_has_segments_and_names_the_language(client: openai.OpenAI, fox: Path) -> None:
    verbose = client.audio.transcriptions.create(model="whisper-1", file=fox, response_format="verbose_json")
    assert verbose.language == "english"
    assert isinstance(verbose.duration, float)
    assert verbose.words is None
    assert verbose.segments
    assert close(verbose.text), verbose.text
    assert verbose.to_dict()["task"] == "transcribe"
    assert verbose.usage is not None
    assert verbose.usage.type == "duration"
    for number, segment in enumerate(verbose.segments):
        assert segment.id == number
        assert 0 <= segment.start <= segment.end <= verbose.duration + 0.1
        assert segment.tokens
        assert segment.text.startswith(" ")
    assert "".join(segment.text for segment in verbose.segments).strip() == verbose.text


@pytest.mark.parametrize("granularities", [["word"], ["segment"], ["word", "segment"]])
def test_only_the_granularities_asked_for_are_given(
    client: openai.OpenAI, fox: Path, granularities: list[Literal["word", "segment"]]
) -> None:
    verbose = client.audio.transcriptions.create(
        model="whisper-1", file=fox, response_format="verbose_json", timestamp_granularities=granularities
    )
    assert (verbose.words is not None) == ("word" in granularities)
    assert (verbose.segments is not None) == ("segment" in granularities)


def test_words_are_in_order_and_add_up_to_the_text(client: openai.OpenAI, fox: Path) -> None:
    verbose = client.audio.transcriptions.create(
        model="whisper-1", file=fox, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert verbose.words
    assert word_error_rate(verbose.text, " ".join(word.word for word in verbose.words)) == 0
    assert all(word.word == word.word.strip() and word.start <= word.end for word in verbose.words)
    starts = [word.start for word in verbose.words]
    assert starts == sorted(starts)


def test_a_stream_grows_into_the_whole_text(client: openai.OpenAI, fox: Path) -> None:
    events = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=fox, stream=True, language="en"))
    *deltas, done = events
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert all(isinstance(event, TranscriptionTextDeltaEvent) for event in deltas)
    assert "".join(event.delta for event in deltas if isinstance(event, TranscriptionTextDeltaEvent)) == done.text
    assert close(done.text), done.text
    assert done.usage is not None
    assert done.usage.type == "tokens"


async def test_a_stream_is_read_asynchronously(platform: Any, reading: Path) -> None:
    async with openai.AsyncOpenAI(base_url=platform.base_url, api_key=platform.api_key, max_retries=0) as client:
        stream = await client.audio.transcriptions.create(
            model="gpt-4o-mini-transcribe", file=reading, stream=True, language="en"
        )
        kinds, text = [], ""
        async for event in stream:
            kinds.append(event.type)
            if isinstance(event, TranscriptionTextDeltaEvent):
                text += event.delta
            elif isinstance(event, TranscriptionTextDoneEvent):
                assert event.text == text
    assert kinds.count("transcript.text.delta") > 1
    assert kinds[-1] == "transcript.text.done"
    assert len(text.split()) > 100


def test_whisper_ignores_stream(http: httpx.Client, fox: Path) -> None:
    with fox.open("rb") as file:
        reply = http.post(
            "/v1/audio/transcriptions", data={"model": "whisper-1", "stream": "true"}, files={"file": file}
        )
    assert reply.headers["content-type"] == "application/json"
    assert close(reply.json()["text"])


def test_log_probabilities_belong_to_the_text(client: openai.OpenAI, fox: Path) -> None:
    transcription = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=fox, include=["logprobs"])
    assert transcription.logprobs
    text = b"".join(bytes(round(each) for each in token.bytes or ()) for token in transcription.logprobs).decode()
    assert text.strip() == transcription.text
    assert all(token.logprob is not None and token.logprob <= 0 for token in transcription.logprobs)


def test_log_probabilities_are_streamed_with_their_deltas(client: openai.OpenAI, fox: Path) -> None:
    stream = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=fox, include=["logprobs"], stream=True)
    *deltas, done = list(stream)
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.logprobs
    streamed = [
        token.token
        for event in deltas
        if isinstance(event, TranscriptionTextDeltaEvent)
        for token in event.logprobs or ()
    ]
    assert streamed == [token.token for token in done.logprobs]


@pytest.mark.parametrize(
    "strategy",
    [
        "auto",
        {"type": "server_vad"},
        {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 400},
    ],
)
def test_audio_may_be_cut_at_silences(client: openai.OpenAI, fox: Path, strategy: Any) -> None:
    transcription = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=fox, chunking_strategy=strategy)
    assert close(transcription.text), transcription.text


def test_hints_are_taken(client: openai.OpenAI, fox: Path) -> None:
    transcription = client.audio.transcriptions.create(
        model="gpt-transcribe",
        file=fox,
        keywords=["fox", "lazy dog"],
        languages=["en", "de"],
        prompt="Animals.",
        temperature=0.2,
    )
    assert close(transcription.text), transcription.text
    assert transcription.to_dict()["languages"] == [{"code": "en"}]


@pytest.mark.parametrize("spelling", ["en", "eng", "en-US", "English"])
def test_a_language_is_known_by_all_its_spellings(client: openai.OpenAI, fox: Path, spelling: str) -> None:
    verbose = client.audio.transcriptions.create(
        model="whisper-1", file=fox, response_format="verbose_json", language=spelling
    )
    assert verbose.language == "english"


def test_the_language_is_detected(client: openai.OpenAI, clips: Path) -> None:
    for folder, name in (("es/conteo", "spanish"), ("fr/comptage", "french"), ("it/conteggio", "italian")):
        verbose = client.audio.transcriptions.create(
            model="whisper-1", file=clips / f"{folder}.wav", response_format="verbose_json"
        )
        assert verbose.language == name


def test_the_text_of_silence_is_empty(client: openai.OpenAI) -> None:
    from tests.integration.audio.files import wav

    silence = ("silence.wav", wav(bytes(2 * 16_000 * 5)))
    assert client.audio.transcriptions.create(model="whisper-1", file=silence).text == ""
    *_, done = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=silence, stream=True))
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.text == ""
    srt = client.audio.transcriptions.create(model="whisper-1", file=silence, response_format="srt")
    assert isinstance(srt, str)
    assert not srt.strip()


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_the_platform_speaks_it_understands(client: openai.OpenAI, audio_format: Any) -> None:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=SAID, response_format=audio_format)
    # The name says nothing about the container: it is told by the bytes.
    heard = client.audio.transcriptions.create(model="whisper-1", file=("recording", speech.content), language="en")
    assert close(heard.text), heard.text
