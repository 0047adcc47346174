"""Azure AI Speech fast transcription through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from azure.ai.transcription import TranscriptionClient
from azure.ai.transcription.models import (
    PhraseListProperties,
    TranscriptionContent,
    TranscriptionDiarizationOptions,
    TranscriptionOptions,
)
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from tests.contract.conftest import Served
from tests.contract.test_speech_batch import QuietFiles, listening

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]


@pytest.fixture
def transcription(platform: Served) -> Iterator[TranscriptionClient]:
    with TranscriptionClient(platform.root_url, AzureKeyCredential(platform.api_key), retry_total=0) as client:
        yield client


def test_a_file_becomes_phrases_and_words(transcription: TranscriptionClient, clips: Path) -> None:
    options = TranscriptionOptions(
        locales=["en-GB", "es-ES"], phrase_list=PhraseListProperties(phrases=["Contoso"]), profanity_filter_mode="None"
    )
    with (clips / "en/hello_world.wav").open("rb") as audio:
        heard = transcription.transcribe(TranscriptionContent(definition=options, audio=audio))
    assert heard.duration_milliseconds > 500
    assert "world" in heard.combined_phrases[0].text.lower()
    phrase = heard.phrases[0]
    assert phrase.locale == "en-GB"
    assert 0 < phrase.confidence <= 1
    assert phrase.words
    assert " ".join(word.text for word in phrase.words) == phrase.text
    ends = [word.offset_milliseconds + word.duration_milliseconds for word in phrase.words]
    assert ends == sorted(ends)
    assert ends[-1] <= heard.duration_milliseconds


def test_a_url_becomes_the_same(transcription: TranscriptionClient, clips: Path) -> None:
    with listening(partial(QuietFiles, directory=str(clips))) as url:
        heard = transcription.transcribe_from_url(f"{url}/en/hello_world.wav")
    assert "world" in heard.combined_phrases[0].text.lower()


def test_refusals_are_read_by_the_client(platform: Served, transcription: TranscriptionClient, clips: Path) -> None:
    speakers = TranscriptionOptions(diarization_options=TranscriptionDiarizationOptions(max_speakers=2))
    with pytest.raises(HttpResponseError) as raised:
        transcription.transcribe_from_url("https://example.com/a.wav", options=speakers)
    assert raised.value.status_code == 400
    assert raised.value.error is not None
    assert raised.value.error.code == "InvalidRequest"
    assert raised.value.error.innererror or "not served" in str(raised.value)
    with (
        TranscriptionClient(platform.root_url, AzureKeyCredential("wrong"), retry_total=0) as stranger,
        pytest.raises(ClientAuthenticationError),
    ):
        stranger.transcribe_from_url("https://example.com/a.wav")
