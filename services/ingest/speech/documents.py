"""Transcriptions, their files, results and reports as JSON. Functions of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from antiphon.schemas import BatchRecord, Outcome, Transcript
from services.ingest.speech.address import Address
from services.ingest.speech.definition import Definition
from services.ingest.speech.filters import Property
from services.ingest.speech.phrases import Phrase, SpokenWord, phrases_of
from services.ingest.speech.text import lexical, unpunctuated
from services.ingest.speech.times import TICKS_PER_S, milliseconds_of, ticks_of, write_duration, write_time

TranscriptionStatus = Literal["NotStarted", "Running", "Succeeded", "Failed"]

TRANSCRIPTION_PROPERTIES: dict[str, Property] = {
    "displayName": "text",
    "description": "text",
    "createdDateTime": "time",
    "lastActionDateTime": "time",
    "status": "text",
    "locale": "text",
}
"""What lists of transcriptions may be filtered by."""

FILE_PROPERTIES: dict[str, Property] = {"name": "text", "kind": "text", "createdDateTime": "time"}
"""What lists of files may be filtered by."""

REPORT_ID = "report"
_LONGEST_POLL_S = 60
_FIRST_POLL_S = 5


def status_of(record: BatchRecord) -> TranscriptionStatus:
    """Return how far a batch is. One of whose recordings any was transcribed has succeeded; its report tells more."""
    if record.ended:
        return "Succeeded" if record.completed else "Failed"
    return "Running" if record.started or _ended_jobs(record) else "NotStarted"


def poll_after_s(record: BatchRecord, *, now_ms: int) -> int:
    """Return the seconds after which it is worth asking again."""
    ended = _ended_jobs(record)
    if not ended:
        return _FIRST_POLL_S
    left_s = max(0, now_ms - record.created_ms) / ended * (record.total - ended) / 1000
    return min(_LONGEST_POLL_S, max(1, round(left_s)))


def filter_row(record: BatchRecord, definition: Definition) -> dict[str, Any]:
    """Return what a transcription is filtered by; times in whole seconds, as they are shown."""
    return {
        "displayName": definition.display_name,
        "description": definition.description,
        "createdDateTime": record.created_ms // 1000,
        "lastActionDateTime": _last_ms(record) // 1000,
        "status": status_of(record),
        "locale": definition.locale,
    }


def transcription_object(
    record: BatchRecord, definition: Definition, *, address: Address, default_model: str
) -> dict[str, Any]:
    """Return a transcription as its owner sees it; the modes in it are those that are in effect."""
    body: dict[str, Any] = {
        "self": address.url("transcriptions", record.id),
        "displayName": definition.display_name,
        "locale": definition.locale,
        "createdDateTime": write_time(record.created_ms),
        "lastActionDateTime": write_time(_last_ms(record)),
        "status": status_of(record),
        "model": {"self": address.url("models", "base", definition.model or default_model)},
        "links": {"files": address.url("transcriptions", record.id, "files")},
        "properties": _properties(definition, legacy=address.legacy),
    }
    if definition.description:
        body["description"] = definition.description
    if definition.custom_properties:
        body["customProperties"] = definition.custom_properties
    return body


def event_object(record: BatchRecord, definition: Definition) -> dict[str, Any]:
    """Return a transcription as webhooks are told of it."""
    return {
        "id": record.id,
        "self": definition.location,
        "displayName": definition.display_name,
        "locale": definition.locale,
        "status": status_of(record),
        "createdDateTime": write_time(record.created_ms),
        "lastActionDateTime": write_time(_last_ms(record)),
    }


def file_object(
    record: BatchRecord, file_id: str, *, content_url: str, size: int, created_ms: int, address: Address
) -> dict[str, Any]:
    """Return a file of a transcription; `size` in bytes."""
    return {
        "self": address.url("transcriptions", record.id, "files", file_id),
        "name": _file_name(file_id),
        "kind": _file_kind(file_id),
        "properties": {"size": size},
        "createdDateTime": write_time(created_ms),
        "links": {"contentUrl": content_url},
    }


def file_row(file_id: str, *, created_ms: int) -> dict[str, Any]:
    """Return what a file is filtered by."""
    return {"name": _file_name(file_id), "kind": _file_kind(file_id), "createdDateTime": created_ms // 1000}


def result_document(transcript: Transcript, definition: Definition, *, source: str, finished_ms: int) -> dict[str, Any]:
    """Return the content of a result file."""
    ticks = ticks_of(transcript.duration)
    phrases = phrases_of(transcript)
    whole = _forms(" ".join(phrase.text for phrase in phrases), definition)
    return {
        "source": source,
        "timestamp": write_time(finished_ms),
        "durationInTicks": ticks,
        "durationMilliseconds": milliseconds_of(ticks),
        "duration": write_duration(ticks),
        "combinedRecognizedPhrases": [{"channel": 0, **whole}],
        "recognizedPhrases": [_phrase_object(phrase, transcript, definition) for phrase in phrases],
    }


def report_document(urls: Sequence[str], outcomes: Sequence[Outcome | None]) -> dict[str, Any]:
    """Return the content of the report: what became of each recording."""
    details = [_detail(url, outcome) for url, outcome in zip(urls, outcomes, strict=True)]
    succeeded = sum(detail["status"] == "Succeeded" for detail in details)
    return {
        "successfulTranscriptionsCount": succeeded,
        "failedTranscriptionsCount": len(details) - succeeded,
        "details": details,
    }


def failure_of(outcome: Outcome | None) -> Mapping[str, str]:
    """Return the `errorKind` and `errorMessage` of a recording that was not transcribed."""
    if outcome is None:
        return {"errorKind": "Deleted", "errorMessage": "The result is no longer kept."}
    error = outcome.error
    kinds = {"cancelled": "Cancelled", "expired": "Timeout"}
    if error is None or outcome.status in kinds:
        kind = kinds.get(outcome.status, "InternalError")
        return {"errorKind": kind, "errorMessage": error.message if error else f"The job was {outcome.status}."}
    return {"errorKind": _error_kind(error.http_status), "errorMessage": error.message}


def time_span(start_s: float, end_s: float) -> dict[str, Any]:
    """Return where something lies in a recording, in all the ways in which results say it."""
    offset = ticks_of(start_s)
    length = max(0, ticks_of(end_s) - offset)
    return {
        "offset": write_duration(offset),
        "duration": write_duration(length),
        "offsetInTicks": offset,
        "durationInTicks": length,
        "offsetMilliseconds": milliseconds_of(offset),
        "durationMilliseconds": milliseconds_of(length),
    }


def _properties(definition: Definition, *, legacy: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "wordLevelTimestampsEnabled": definition.words,
        "displayFormWordLevelTimestampsEnabled": definition.display_words,
        "channels": [0],
        "punctuationMode": "Automatic" if definition.punctuation else "None",
        "profanityFilterMode": "None",
    }
    if legacy:
        properties["timeToLive"] = write_duration(definition.time_to_live_s * TICKS_PER_S)
        properties["diarizationEnabled"] = False
    else:
        properties["timeToLiveHours"] = definition.time_to_live_s // 3600
    if definition.candidate_locales:
        properties["languageIdentification"] = {
            "candidateLocales": list(definition.candidate_locales),
            "mode": "Single",
        }
    if definition.duration_ms is not None:
        properties["durationMilliseconds"] = definition.duration_ms
        if legacy:
            properties["duration"] = write_duration(definition.duration_ms * (TICKS_PER_S // 1000))
    if definition.error is not None:
        properties["error"] = definition.error
    return properties


def _phrase_object(phrase: Phrase, transcript: Transcript, definition: Definition) -> dict[str, Any]:
    body: dict[str, Any] = {"recognitionStatus": "Success", "channel": 0}
    if definition.candidate_locales:
        body["locale"] = definition.locale_of(transcript.language)
    best: dict[str, Any] = {"confidence": phrase.confidence, **_forms(phrase.text, definition)}
    if definition.words:
        best["words"] = [_word_object(word) for word in phrase.words]
    if definition.display_words:
        best["displayWords"] = [
            {"displayText": word.written if definition.punctuation else word.plain, **_word_span(word)}
            for word in phrase.words
        ]
    return {**body, **time_span(phrase.start_s, phrase.end_s), "nBest": [best]}


def _word_object(word: SpokenWord) -> dict[str, Any]:
    confidence = {} if word.confidence is None else {"confidence": word.confidence}
    return {"word": lexical(word.plain) or word.plain, **_word_span(word), **confidence}


def _word_span(word: SpokenWord) -> dict[str, Any]:
    return time_span(word.start_s, word.end_s)


def _forms(text: str, definition: Definition) -> dict[str, str]:
    plain = lexical(text)
    display = text if definition.punctuation else unpunctuated(text)
    return {"lexical": plain, "itn": plain, "maskedITN": plain, "display": display}


def _file_name(file_id: str) -> str:
    return "report.json" if file_id == REPORT_ID else f"contenturl_{file_id}.json"


def _file_kind(file_id: str) -> str:
    return "TranscriptionReport" if file_id == REPORT_ID else "Transcription"


def _detail(url: str, outcome: Outcome | None) -> dict[str, Any]:
    if outcome is not None and outcome.status == "completed":
        return {"sourceUrl": url, "status": "Succeeded"}
    return {"sourceUrl": url, "status": "Failed", **failure_of(outcome)}


def _error_kind(http_status: int) -> str:
    match http_status:
        case 404:
            return "NotFound"
        case 413:
            return "TooLarge"
        case status if status < 500:
            return "InvalidData"
        case _:
            return "InternalError"


def _ended_jobs(record: BatchRecord) -> int:
    return record.completed + record.failed + record.cancelled + record.expired


def _last_ms(record: BatchRecord) -> int:
    return max(record.updated_ms, record.created_ms)
