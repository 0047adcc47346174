"""What receivers are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.schemas import BatchRecord, ErrorInfo, JobEvent, Kind, Outcome
from antiphon.webhooks.messages import MAX_BODY_BYTES, batch_message, job_message, sample_message

pytestmark = pytest.mark.unit


def event(**fields: Any) -> JobEvent:
    given: dict[str, Any] = {
        "id": "evt_1",
        "type": "job.completed",
        "created_ms": 1_790_000_000_999,
        "kind": "transcribe",
        "tenant": "t",
        "job_id": "job_1",
        "status": "completed",
        "attempts": 2,
        "job_created_ms": 1_789_999_990_000,
        "finished_ms": 1_790_000_000_500,
        "metadata": {"order": "17"},
    }
    return JobEvent.model_validate(given | fields)


def outcome(**result: Any) -> Outcome:
    return Outcome(id="job_1", status="completed", result=result)


def body_of(message: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(message.body)
    return body


def test_a_completed_job_is_told_with_its_text() -> None:
    message = job_message(event(), outcome(text="Hello.", language="en", duration=1.5, segments=[{"id": 0}]))
    assert body_of(message) == {
        "object": "event",
        "id": "evt_1",
        "type": "job.completed",
        "created_at": 1_790_000_000,
        "data": {
            "id": "job_1",
            "object": "job",
            "kind": "transcribe",
            "status": "completed",
            "attempts": 2,
            "created_at": 1_789_999_990,
            "finished_at": 1_790_000_000,
            "metadata": {"order": "17"},
            "parent": None,
            "result": {"text": "Hello.", "language": "en", "duration": 1.5},
        },
    }


def test_the_same_event_is_the_same_bytes() -> None:
    told = outcome(text="Hello.", language="en", duration=1.5)
    assert job_message(event(), told).body == job_message(event(), told).body


def test_a_long_text_stays_at_home() -> None:
    assert "result" in body_of(job_message(event(), outcome(text="é" * 4096, language="fr", duration=9)))["data"]
    assert "result" not in body_of(job_message(event(), outcome(text="é" * 4097, language="fr", duration=9)))["data"]


def test_speech_is_told_without_its_sound() -> None:
    spoken = outcome(media_type="audio/mpeg", sample_rate=24000, duration=2.5, size=40_000, audio={"uri": "redis:k"})
    data = body_of(job_message(event(kind="synthesize"), spoken))["data"]
    assert data["result"] == {"media_type": "audio/mpeg", "duration": 2.5, "size": 40_000}


def test_an_answer_is_told_with_the_calls_it_makes() -> None:
    call = {"id": "call_1", "name": "get_weather", "arguments": '{"city":"Oslo"}'}
    result: dict[str, Any] = {"text": "", "refusal": None, "tool_calls": [call], "finish_reason": "tool_calls"}
    message = job_message(event(kind="respond"), outcome(**result, usage={"prompt_tokens": 9}, spoken=False))
    assert body_of(message)["data"]["result"] == result


@pytest.mark.parametrize(
    "long",
    [{"text": "é" * 4097}, {"tool_calls": [{"id": "call_1", "name": "save", "arguments": "x" * 8192}]}],
    ids=["text", "arguments"],
)
def test_a_long_answer_stays_at_home(long: dict[str, Any]) -> None:
    assert "result" not in body_of(job_message(event(kind="respond"), outcome(**long)))["data"]


@pytest.mark.parametrize("kind", ["transcribe", "synthesize", "respond"])
def test_a_result_that_is_gone_is_no_obstacle(kind: Kind) -> None:
    assert "result" not in body_of(job_message(event(kind=kind)))["data"]


def test_a_failure_is_told_with_its_reason() -> None:
    error = ErrorInfo(message="It is not audio.", type="invalid_request_error", code="invalid_value", param="file")
    data = body_of(job_message(event(type="job.failed", status="failed", error=error)))["data"]
    assert data["error"] == {
        "message": "It is not audio.",
        "type": "invalid_request_error",
        "code": "invalid_value",
        "param": "file",
    }


def test_progress_is_told_in_the_unit_of_the_work() -> None:
    data = body_of(job_message(event(type="job.progress", status="running", done=30.0, total=60.0)))["data"]
    assert data["progress"] == {"done": 30.0, "total": 60.0}


def test_a_body_is_never_larger_than_receivers_expect() -> None:
    metadata = {f"key{i}": "ü" * 500 for i in range(40)}
    message = job_message(event(metadata=metadata), outcome(text="é" * 4096, language="fr", duration=9))
    assert len(message.body.encode()) <= MAX_BODY_BYTES
    assert body_of(message)["data"]["id"] == "job_1"


@pytest.mark.parametrize("event_type", ["job.completed", "job.failed", "job.cancelled", "job.progress"])
def test_a_test_event_looks_like_a_real_one_and_says_that_it_is_none(event_type: str) -> None:
    body = body_of(sample_message("t", event_type))
    assert body["type"] == event_type
    assert body["data"]["metadata"] == {"test": "true"}
    assert set(body) == {"object", "id", "type", "created_at", "data"}


@pytest.mark.parametrize(
    ("type_", "counts", "event_type", "status"),
    [
        ("batch.started", {}, "transcriptionProcessing", "Running"),
        ("batch.completed", {"completed": 1, "failed": 1}, "transcriptionCompletion", "Succeeded"),
        ("batch.completed", {"failed": 2}, "transcriptionCompletion", "Failed"),
    ],
)
def test_a_batch_is_told_as_a_transcription(type_: str, counts: dict[str, int], event_type: str, status: str) -> None:
    batch = BatchRecord.model_validate(
        {
            "id": "b1",
            "kind": "transcribe",
            "tenant": "t",
            "created_ms": 1_789_999_990_000,
            "total": 2,
            "definition": {"self": "https://here/b1", "displayName": "Calls", "contentUrls": ["https://there"]},
        }
        | counts
    )
    message = batch_message(event(type=type_, job_id=None, parent="b1"), batch)
    assert (message.event_type, message.event_id, message.subject) == (event_type, "evt_1", "b1")
    assert body_of(message) == {
        "id": "b1",
        "self": "https://here/b1",
        "displayName": "Calls",
        "status": status,
        "createdDateTime": "2026-09-21T14:13:10Z",
        "lastActionDateTime": "2026-09-21T14:13:20Z",
    }
