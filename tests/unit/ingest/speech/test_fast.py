from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.errors import InvalidValue
from antiphon.models import Catalogue
from antiphon.schemas import Segment, Transcript, Word
from services.ingest.errors_speech import InvalidLocale, InvalidRecordingsUri, NotServed
from services.ingest.speech.fast import FastRequest, fast_document, read_fast_request

pytestmark = pytest.mark.unit

CATALOGUE = Catalogue.load()


def check_url(url: str) -> None:
    if not url.startswith("https://"):
        raise InvalidValue("The URL must begin with https://.")


def read(**definition: Any) -> FastRequest:
    return read_fast_request(json.dumps(definition), catalogue=CATALOGUE, check_url=check_url)


def test_nothing_has_to_be_said() -> None:
    wanted = read_fast_request(None, catalogue=CATALOGUE, check_url=check_url)
    assert wanted.options.language is None
    assert wanted.options.languages == ()
    assert wanted.options.words


def test_locales_become_a_language_or_candidates() -> None:
    assert read(locales=["de-DE"]).options.language == "de"
    assert read(locales=["en-US", "en-GB"]).options.language == "en"
    several = read(locales=["de-DE", "en-US"]).options
    assert (several.language, several.languages) == (None, ("de", "en"))


def test_phrases_become_keywords() -> None:
    assert read(phraseList={"phrases": ["Contoso", "Jessie"], "biasingWeight": 1.5}).options.keywords == (
        "Contoso",
        "Jessie",
    )


def test_what_changes_nothing_is_accepted() -> None:
    read(
        locales=[],
        channels=[],
        profanityFilterMode="Masked",
        diarization={"enabled": False},
        enhancedMode={"enabled": False},
        models={},
        novelty=1,
    )


@pytest.mark.parametrize(
    "definition",
    [
        {"diarization": {"maxSpeakers": 2}},
        {"diarization": {"enabled": True}},
        {"channels": [0, 1]},
        {"enhancedMode": {"task": "translate"}},
        {"models": {"en": "https://h/models/base/whisper-1", "de": "https://h/models/base/gpt-4o-transcribe"}},
    ],
)
def test_what_is_not_served_is_refused(definition: dict[str, Any]) -> None:
    with pytest.raises(NotServed):
        read(**definition)


@pytest.mark.parametrize(
    "definition",
    [
        {"locales": "en-US"},
        {"locales": ["en"] * 11},
        {"phraseList": []},
        {"phraseList": {"phrases": ["x"], "biasingWeight": 3}},
        {"phraseList": {"phrases": ["x"] * 501}},
        {"phraseList": {"phrases": ["x" * 257]}},
        {"profanityFilterMode": "Loud"},
        {"models": {"en": "https://h/models/base/nobody"}},
        {"models": ["x"]},
        {"audioUrl": 1},
    ],
)
def test_a_wrong_value_is_refused(definition: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        read(**definition)


def test_other_refusals_say_what_they_are() -> None:
    with pytest.raises(InvalidLocale):
        read(locales=["tlh"])
    with pytest.raises(InvalidRecordingsUri):
        read(audioUrl="http://example.com/a.wav")
    for text in ("{", "[]", "1"):
        with pytest.raises(InvalidValue, match="definition"):
            read_fast_request(text, catalogue=CATALOGUE, check_url=check_url)


def test_the_answer_has_phrases_and_words() -> None:
    spoken = Transcript(
        task="transcribe",
        language="en",
        duration=1.2345,
        text=" Hello, world.",
        segments=(
            Segment(
                id=0,
                seek=0,
                start=0.1,
                end=1.2,
                text=" Hello, world.",
                tokens=(),
                temperature=0,
                avg_logprob=-0.5,
                compression_ratio=1,
                no_speech_prob=0,
            ),
        ),
        words=(Word(word="Hello", start=0.1, end=0.5), Word(word="world", start=0.6, end=1.2)),
    )
    assert fast_document(spoken, read(locales=["en-GB"])) == {
        "durationMilliseconds": 1234,
        "combinedPhrases": [{"text": "Hello, world."}],
        "phrases": [
            {
                "offsetMilliseconds": 100,
                "durationMilliseconds": 1100,
                "text": "Hello, world.",
                "words": [
                    {"text": "Hello,", "offsetMilliseconds": 100, "durationMilliseconds": 400},
                    {"text": "world.", "offsetMilliseconds": 600, "durationMilliseconds": 600},
                ],
                "locale": "en-GB",
                "confidence": 0.6065,
            }
        ],
    }
    assert fast_document(spoken, read(channels=[0]))["combinedPhrases"] == [{"channel": 0, "text": "Hello, world."}]
