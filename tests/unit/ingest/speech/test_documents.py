from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import Failure, InvalidAudio, NotFound
from antiphon.schemas import BatchRecord, Outcome, Segment, Transcript, Word
from services.ingest.speech.address import Address
from services.ingest.speech.definition import Definition
from services.ingest.speech.documents import (
    file_object,
    poll_after_s,
    report_document,
    result_document,
    status_of,
    transcription_object,
)

pytestmark = pytest.mark.unit

DATED = Address(origin="https://h/p", version=None, api_version="2025-10-15")
LEGACY = Address(origin="https://h", version="v3.2", api_version=None)
SOURCE = "https://example.com/a.wav"
SPOKEN = Transcript(
    task="transcribe",
    language="de",
    duration=62.5,
    text=" Guten Tag. Wie geht's?",
    segments=tuple(
        Segment(
            id=index,
            seek=0,
            start=start,
            end=end,
            text=text,
            tokens=(),
            temperature=0,
            avg_logprob=0.0,
            compression_ratio=1,
            no_speech_prob=0,
        )
        for index, (text, start, end) in enumerate([(" Guten Tag.", 0.5, 1.25), (" Wie geht's?", 61.0, 62.5)])
    ),
    words=(
        Word(word="Guten", start=0.5, end=0.8),
        Word(word="Tag", start=0.8, end=1.25),
        Word(word="Wie", start=61.0, end=61.2),
        Word(word="geht's", start=61.2, end=62.5),
    ),
)


def define(**changes: Any) -> Definition:
    fields: dict[str, Any] = {
        "display_name": "Calls",
        "locale": "de-DE",
        "content_urls": (SOURCE,),
        "time_to_live_s": 48 * 3600,
    }
    return Definition(**fields | changes)


def record(**counts: Any) -> BatchRecord:
    return BatchRecord(
        id="b1", kind="transcribe", tenant="t", created_ms=1_700_000_000_000, definition={}, **{"total": 4} | counts
    )


def test_a_result_says_each_time_in_every_unit() -> None:
    result = result_document(SPOKEN, define(), source=SOURCE, finished_ms=1_700_000_000_500)
    assert result["source"] == SOURCE
    assert result["timestamp"] == "2023-11-14T22:13:20Z"
    assert (result["durationInTicks"], result["durationMilliseconds"], result["duration"]) == (
        625_000_000,
        62_500,
        "PT1M2.5S",
    )
    first, second = result["recognizedPhrases"]
    assert {name: value for name, value in second.items() if name != "nBest"} == {
        "recognitionStatus": "Success",
        "channel": 0,
        "offset": "PT1M1S",
        "duration": "PT1.5S",
        "offsetInTicks": 610_000_000,
        "durationInTicks": 15_000_000,
        "offsetMilliseconds": 61_000,
        "durationMilliseconds": 1_500,
    }
    assert first["nBest"] == [
        {
            "confidence": 1.0,
            "lexical": "guten tag",
            "itn": "guten tag",
            "maskedITN": "guten tag",
            "display": "Guten Tag.",
        }
    ]
    assert result["combinedRecognizedPhrases"] == [
        {
            "channel": 0,
            "lexical": "guten tag wie geht's",
            "itn": "guten tag wie geht's",
            "maskedITN": "guten tag wie geht's",
            "display": "Guten Tag. Wie geht's?",
        }
    ]


def test_words_come_when_they_were_asked_for() -> None:
    both = define(words=True, display_words=True, candidate_locales=("en-US", "de-AT"))
    phrase = result_document(SPOKEN, both, source=SOURCE, finished_ms=0)["recognizedPhrases"][1]
    assert phrase["locale"] == "de-AT"
    best = phrase["nBest"][0]
    assert [word["word"] for word in best["words"]] == ["wie", "geht's"]
    assert [word["displayText"] for word in best["displayWords"]] == ["Wie", "geht's?"]
    assert best["words"][1]["offsetInTicks"] == 612_000_000
    assert best["displayWords"][1]["duration"] == "PT1.3S"


def test_without_punctuation_the_case_stays() -> None:
    result = result_document(SPOKEN, define(punctuation=False, display_words=True), source=SOURCE, finished_ms=0)
    assert result["combinedRecognizedPhrases"][0]["display"] == "Guten Tag Wie geht's"
    assert result["recognizedPhrases"][1]["nBest"][0]["displayWords"][1]["displayText"] == "geht's"


def test_a_report_tells_of_every_recording() -> None:
    outcomes = [
        Outcome(id="0", status="completed"),
        Outcome(id="1", status="failed", error=InvalidAudio("Broken.").info()),
        Outcome(id="2", status="failed", error=NotFound("Gone.").info()),
        Outcome(id="3", status="failed", error=Failure("Oops.").info()),
        Outcome(id="4", status="cancelled"),
        None,
    ]
    report = report_document([f"https://e/{index}" for index in range(6)], outcomes)
    assert (report["successfulTranscriptionsCount"], report["failedTranscriptionsCount"]) == (1, 5)
    assert report["details"][0] == {"sourceUrl": "https://e/0", "status": "Succeeded"}
    assert report["details"][1] == {
        "sourceUrl": "https://e/1",
        "status": "Failed",
        "errorKind": "InvalidData",
        "errorMessage": "Broken.",
    }
    kinds = [detail.get("errorKind") for detail in report["details"]]
    assert kinds == [None, "InvalidData", "NotFound", "InternalError", "Cancelled", "Deleted"]


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({}, "NotStarted"),
        ({"started": True}, "Running"),
        ({"completed": 1}, "Running"),
        ({"completed": 1, "failed": 3}, "Succeeded"),
        ({"completed": 4}, "Succeeded"),
        ({"failed": 3, "cancelled": 1}, "Failed"),
        ({"expired": 4}, "Failed"),
    ],
)
def test_a_batch_has_failed_only_when_nothing_was_transcribed(counts: dict[str, Any], status: str) -> None:
    assert status_of(record(**counts)) == status


def test_the_time_to_ask_again_follows_the_pace() -> None:
    assert poll_after_s(record(), now_ms=1_700_000_060_000) == 5
    assert poll_after_s(record(completed=2), now_ms=1_700_000_020_000) == 20
    assert poll_after_s(record(completed=3), now_ms=1_700_000_000_000) == 1
    assert poll_after_s(record(total=1000, completed=1), now_ms=1_700_000_020_000) == 60


def test_a_transcription_says_which_modes_are_in_effect() -> None:
    definition = define(custom_properties={"k": "v"}, duration_ms=2500, words=True)
    shown = transcription_object(record(completed=4), definition, address=DATED, default_model="whisper-1")
    assert shown["self"] == "https://h/p/speechtotext/transcriptions/b1?api-version=2025-10-15"
    assert shown["links"]["files"] == "https://h/p/speechtotext/transcriptions/b1/files?api-version=2025-10-15"
    assert shown["model"]["self"].endswith("/models/base/whisper-1?api-version=2025-10-15")
    assert (shown["createdDateTime"], shown["status"]) == ("2023-11-14T22:13:20Z", "Succeeded")
    assert shown["customProperties"] == {"k": "v"}
    assert "description" not in shown
    assert shown["properties"] == {
        "wordLevelTimestampsEnabled": True,
        "displayFormWordLevelTimestampsEnabled": False,
        "channels": [0],
        "punctuationMode": "Automatic",
        "profanityFilterMode": "None",
        "timeToLiveHours": 48,
        "durationMilliseconds": 2500,
    }


def test_the_older_form_has_its_own_names() -> None:
    shown = transcription_object(record(), define(duration_ms=2500), address=LEGACY, default_model="whisper-1")
    assert shown["self"] == "https://h/speechtotext/v3.2/transcriptions/b1"
    assert shown["properties"]["timeToLive"] == "PT48H"
    assert shown["properties"]["duration"] == "PT2.5S"
    assert shown["properties"]["diarizationEnabled"] is False
    assert "timeToLiveHours" not in shown["properties"]


def test_files_are_named_by_their_place() -> None:
    first = file_object(record(), "0", content_url="https://h/x", size=7, created_ms=1_700_000_000_000, address=DATED)
    assert first == {
        "self": "https://h/p/speechtotext/transcriptions/b1/files/0?api-version=2025-10-15",
        "name": "contenturl_0.json",
        "kind": "Transcription",
        "properties": {"size": 7},
        "createdDateTime": "2023-11-14T22:13:20Z",
        "links": {"contentUrl": "https://h/x"},
    }
    report = file_object(record(), "report", content_url="", size=7, created_ms=0, address=LEGACY)
    assert (report["name"], report["kind"]) == ("report.json", "TranscriptionReport")
