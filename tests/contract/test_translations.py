"""`/audio/translations` through the official client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.cli.wer import word_error_rate

pytestmark = [
    pytest.mark.contract,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CLIP, MEANING = "ja/konnichiwa_sekai.wav", "Hello world."


@pytest.fixture
def clip(clips: Path) -> Path:
    return clips / CLIP


def test_speech_of_another_language_becomes_english_text(client: openai.OpenAI, clip: Path) -> None:
    translation = client.audio.translations.create(model="whisper-1", file=clip)
    assert word_error_rate(MEANING, translation.text) <= 0.5, translation.text


def test_verbose_json_says_that_it_is_english(client: openai.OpenAI, clip: Path) -> None:
    verbose = client.audio.translations.create(model="whisper-1", file=clip, response_format="verbose_json")
    assert verbose.language == "english"
    assert verbose.to_dict()["task"] == "translate"
    assert verbose.duration > 0
    assert verbose.segments
    assert verbose.segments[0].tokens


@pytest.mark.parametrize(("response_format", "beginning"), [("text", ""), ("srt", "1\n00:"), ("vtt", "WEBVTT\n\n00:")])
def test_plain_formats_are_bare_strings(
    client: openai.OpenAI, clip: Path, response_format: Any, beginning: str
) -> None:
    body: Any = client.audio.translations.create(model="whisper-1", file=clip, response_format=response_format)
    assert isinstance(body, str)
    assert body.startswith(beginning)
    assert body.endswith("\n")


async def test_prompt_and_temperature_are_taken(platform: Any, clip: Path) -> None:
    async with openai.AsyncOpenAI(base_url=platform.base_url, api_key=platform.api_key) as client:
        translation = await client.audio.translations.create(
            model="whisper-1", file=clip, prompt="A greeting.", temperature=0.1
        )
    assert translation.text
