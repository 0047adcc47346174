from __future__ import annotations

import dataclasses

import orjson
import pytest

from antiphon.models import Catalogue, PublicModel
from antiphon.schemas import RecognitionOptions, Segment, TokenLogprob, Transcript, Word
from services.ingest.formats.transcripts import done_event, render
from services.ingest.parameters.transcription import Granularity, TranscriptFormat, TranscriptionRequest

pytestmark = pytest.mark.unit

SEGMENT = Segment(
    id=0,
    seek=0,
    start=0.0,
    end=1.5,
    text=" Hi.",
    tokens=(50364, 2421, 13),
    temperature=0.0,
    avg_logprob=-0.2,
    compression_ratio=0.6,
    no_speech_prob=0.01,
)
TRANSCRIPT = Transcript(
    task="transcribe",
    language="en",
    duration=1.5,
    text=" Hi.",
    segments=(SEGMENT,),
    words=(Word(word="Hi", start=0.1, end=0.4),),
    output_tokens=3,
)


def public(name: str) -> PublicModel:
    return next(model for model in Catalogue.load().public() if model.id == name)


def request(chosen: TranscriptFormat, *granularities: Granularity) -> TranscriptionRequest:
    return TranscriptionRequest(
        format=chosen, options=RecognitionOptions(), granularities=frozenset(granularities or ("segment",))
    )


def test_verbose_json_is_the_published_example() -> None:
    document = render(TRANSCRIPT, request("verbose_json"), public("whisper-1"))
    assert document.media_type == "application/json"
    assert orjson.loads(document.body) == {
        "task": "transcribe",
        "language": "english",
        "duration": 1.5,
        "text": "Hi.",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.0,
                "end": 1.5,
                "text": " Hi.",
                "tokens": [50364, 2421, 13],
                "temperature": 0.0,
                "avg_logprob": -0.2,
                "compression_ratio": 0.6,
                "no_speech_prob": 0.01,
            }
        ],
        "usage": {"type": "duration", "seconds": 2},
    }


@pytest.mark.parametrize(
    ("granularities", "present", "absent"),
    [
        (("segment",), {"segments"}, {"words"}),
        (("word",), {"words"}, {"segments"}),
        (("word", "segment"), {"words", "segments"}, set()),
    ],
)
def test_only_the_granularities_asked_for_are_in_verbose_json(
    granularities: tuple[Granularity, ...], present: set[str], absent: set[str]
) -> None:
    keys = set(orjson.loads(render(TRANSCRIPT, request("verbose_json", *granularities), public("whisper-1")).body))
    assert present <= keys
    assert not absent & keys


def test_usage_follows_the_family_of_the_model() -> None:
    whisper = orjson.loads(render(TRANSCRIPT, request("json"), public("whisper-1")).body)
    assert whisper == {"text": "Hi.", "usage": {"type": "duration", "seconds": 2}}
    gpt = orjson.loads(render(TRANSCRIPT, request("json"), public("gpt-4o-transcribe")).body)
    assert gpt["usage"] == {
        "type": "tokens",
        "input_tokens": 15,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 15},
        "output_tokens": 3,
        "total_tokens": 18,
    }


def test_gpt_transcribe_names_the_languages_it_heard() -> None:
    model = public("gpt-transcribe")
    assert orjson.loads(render(TRANSCRIPT, request("json"), model).body)["languages"] == [{"code": "en"}]
    silent = TRANSCRIPT.model_copy(update={"detected": False})
    assert orjson.loads(render(silent, request("json"), model).body)["languages"] == []


def test_plain_formats_are_bare_text_that_ends_with_a_newline() -> None:
    for chosen, kind in (("text", "text/plain"), ("srt", "text/plain"), ("vtt", "text/vtt")):
        document = render(TRANSCRIPT, request(chosen), public("whisper-1"))  # type: ignore[arg-type]
        assert document.media_type == f"{kind}; charset=utf-8"
        assert document.body.endswith(b"\n")
    assert render(TRANSCRIPT, request("text"), public("whisper-1")).body == b"Hi.\n"


def test_a_translation_is_in_english_whatever_was_spoken() -> None:
    translated = TRANSCRIPT.model_copy(update={"task": "translate", "language": "fr"})
    body = orjson.loads(render(translated, request("verbose_json"), public("whisper-1")).body)
    assert (body["task"], body["language"]) == ("translate", "english")


def test_log_probabilities_are_shown_when_they_were_asked_for() -> None:
    transcript = TRANSCRIPT.model_copy(update={"logprobs": (TokenLogprob(token="Hi", logprob=-0.1, bytes=(72, 105)),)})
    expected = [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}]
    model = public("gpt-4o-transcribe")
    assert orjson.loads(render(transcript, request("json"), model).body)["logprobs"] == expected
    assert done_event("Hi.", transcript, model)["logprobs"] == expected


def test_a_streamed_transcript_ends_with_usage_in_tokens_and_no_error_key() -> None:
    event = done_event("Hi.", TRANSCRIPT, dataclasses.replace(public("gpt-4o-transcribe"), id="mine"))
    assert event["type"] == "transcript.text.done"
    assert event["usage"]["type"] == "tokens"
    assert "error" not in event
