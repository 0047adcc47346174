"""What is sent: an event as the JSON that receivers get. Pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import orjson

from antiphon.schemas import JobEventType, Kind, now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.schemas import BatchRecord, JobEvent, Outcome

MAX_BODY_BYTES = 20_000
"""What Standard Webhooks lets a receiver expect at most."""
MAX_TEXT_BYTES = 8_192
"""A longer text is not sent along: its receiver asks for the job."""

JOB_EVENT_TYPES: tuple[str, ...] = get_args(JobEventType)

_MAX_ERROR_CHARACTERS = 1_000
_SPEECH = ("media_type", "duration", "size")
_TRANSCRIPT = ("text", "language", "duration")
_REPLY = ("text", "refusal", "tool_calls", "finish_reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event on its way out. `body` is signed and sent byte for byte, however often."""

    event_id: str
    event_type: str
    tenant: str
    subject: str | None
    """Id of the job or batch that it is about."""
    body: str


def new_event_id() -> str:
    """Return `evt_` and 32 hex digits."""
    return f"evt_{secrets.token_hex(16)}"


def job_message(event: JobEvent, outcome: Outcome | None = None) -> Message:
    """Return the message of a job's event, with the result when `outcome` has one that is small enough."""
    data: dict[str, Any] = {
        "id": event.job_id,
        "object": "job",
        "kind": event.kind,
        "status": event.status,
        "attempts": event.attempts,
        "created_at": _seconds(event.job_created_ms),
        "finished_at": _seconds(event.finished_ms),
        "metadata": event.metadata,
        "parent": event.parent,
    }
    if event.error is not None:
        error = event.error
        data["error"] = {
            "message": error.message[:_MAX_ERROR_CHARACTERS],
            "type": error.type,
            "code": error.code,
            "param": error.param,
        }
    if event.done is not None:
        data["progress"] = {"done": event.done, "total": event.total}
    if outcome is not None and (result := result_of(event.kind, outcome)):
        data["result"] = result
    return Message(
        event_id=event.id,
        event_type=event.type,
        tenant=event.tenant,
        subject=event.job_id,
        body=_body(event.id, event.type, event.created_ms // 1000, data),
    )


def result_of(kind: Kind, outcome: Outcome) -> dict[str, Any] | None:
    """Return the part of a result that travels with its event: a short text or answer, or what speech there is."""
    result = outcome.result
    if outcome.status != "completed" or result is None:
        return None
    if kind == "synthesize":
        return {name: result.get(name) for name in _SPEECH}
    if kind == "respond":
        answer = {name: result.get(name) for name in _REPLY}
        return answer if len(orjson.dumps(answer)) <= MAX_TEXT_BYTES else None  # arguments of calls can be long, too
    if kind not in ("transcribe", "translate") or len(str(result.get("text", "")).encode()) > MAX_TEXT_BYTES:
        return None
    return {name: result.get(name) for name in _TRANSCRIPT}


def sample_message(tenant: str, event_type: str) -> Message:
    """Return a made-up event of a type, which says so in its metadata."""
    event_id, at_ms = new_event_id(), now_ms()
    at_s = at_ms // 1000
    data: dict[str, Any] = {
        "id": f"job_{at_ms:011x}{'0' * 16}",
        "object": "job",
        "kind": "transcribe",
        "status": "running" if event_type == "job.progress" else event_type.removeprefix("job."),
        "attempts": 1,
        "created_at": at_s - 2,
        "finished_at": None if event_type == "job.progress" else at_s,
        "metadata": {"test": "true"},
        "parent": None,
    }
    if event_type == "job.completed":
        data["result"] = {"text": "This is a test.", "language": "en", "duration": 1.5}
    elif event_type == "job.progress":
        data["progress"] = {"done": 1.5, "total": 3.0}
    else:
        code = "cancelled" if event_type == "job.cancelled" else "internal_error"
        data["error"] = {"message": "This is a test.", "type": "server_error", "code": code, "param": None}
    return Message(
        event_id=event_id,
        event_type=event_type,
        tenant=tenant,
        subject=data["id"],
        body=_body(event_id, event_type, at_s, data),
    )


def plain_message(tenant: str, event_type: str, body: Mapping[str, Any], *, subject: str | None = None) -> Message:
    """Return a message whose body is that JSON and nothing else, as Azure AI Speech sends it."""
    return Message(
        event_id=new_event_id(),
        event_type=event_type,
        tenant=tenant,
        subject=subject,
        body=orjson.dumps(dict(body)).decode(),
    )


def batch_message(event: JobEvent, batch: BatchRecord) -> Message:
    """Return the message of a batch that has begun or ended: the transcription as its owner defined it, and how it is.

    `self`, `displayName` and `locale` come from the batch's definition.
    """
    event_type = "transcriptionProcessing" if event.type == "batch.started" else "transcriptionCompletion"
    status = "Running"
    if event.type == "batch.completed":
        # As the hosted service counts: a transcription has failed when none of its files could be transcribed.
        status = "Succeeded" if batch.completed or not batch.total else "Failed"
    kept = {name: batch.definition[name] for name in ("self", "displayName", "locale") if name in batch.definition}
    body: dict[str, Any] = {"id": batch.id} | kept | {"status": status}
    body |= {"createdDateTime": _iso(batch.created_ms), "lastActionDateTime": _iso(event.created_ms)}
    return Message(
        event_id=event.id,
        event_type=event_type,
        tenant=event.tenant,
        subject=batch.id,
        body=orjson.dumps(body).decode(),
    )


def _body(event_id: str, event_type: str, created_at: int, data: dict[str, Any]) -> str:
    event = {"object": "event", "id": event_id, "type": event_type, "created_at": created_at, "data": data}
    body = orjson.dumps(event)
    for optional in ("result", "metadata", "error"):
        if len(body) <= MAX_BODY_BYTES:
            break
        if optional in data:
            data[optional] = {} if optional == "metadata" else None
            body = orjson.dumps(event)
    return body.decode()


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
