"""What is announced on a lane's event stream, as JSON of a `JobEvent`. Pure, and on the path of every job."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import orjson

from antiphon.telemetry import carrier_of

if TYPE_CHECKING:
    from antiphon.bus.attempts import Attempt
    from antiphon.schemas import ErrorInfo, EventType, Job, Progress, Status

_TYPES: dict[Status, EventType] = {
    "completed": "job.completed",
    "failed": "job.failed",
    "cancelled": "job.cancelled",
    "expired": "job.failed",
}


def job_ended(at: Attempt[Any], status: Status, *, error: ErrorInfo | None, finished_ms: int) -> bytes:
    """Return the event of a job's end."""
    event = _about(at.job, _TYPES[status], finished_ms)
    event |= {"status": status, "attempts": at.number, "finished_ms": finished_ms}
    if error is not None:
        event["error"] = error.model_dump()
    return orjson.dumps(event | _trace_of(at))


def job_progressed(job: Job, progress: Progress, *, attempt: int, now_ms: int) -> bytes:
    """Return the event of a job that has come further."""
    event = _about(job, "job.progress", now_ms)
    event |= {"status": "running", "attempts": attempt, "done": progress.done, "total": progress.total}
    return orjson.dumps(event)


def batch_started(job: Job, *, now_ms: int) -> bytes:
    """Return the event of a batch whose first job begins."""
    return _about_batch(job, "batch.started", now_ms)


def batch_ended(at: Attempt[Any], *, now_ms: int) -> bytes:
    """Return the event of a batch whose last job has ended."""
    return _about_batch(at.job, "batch.completed", now_ms, **_trace_of(at))


def _about(job: Job, kind: EventType, now_ms: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "id": f"evt_{secrets.token_hex(16)}",
        "type": kind,
        "created_ms": now_ms,
        "kind": job.kind,
        "tenant": job.tenant,
        "job_id": job.id,
        "job_created_ms": job.created_ms,
    }
    if job.parent is not None:
        event["parent"] = job.parent
    if job.metadata:
        event["metadata"] = job.metadata
    if job.webhook is not None:
        event["webhook"] = job.webhook.model_dump()
    return event


def _trace_of(at: Attempt[Any]) -> dict[str, str]:
    """Return where the job was published: its caller's trace goes on from there to who is told of the end."""
    return carrier_of(at.envelope.traceparent, at.envelope.tracestate)


def _about_batch(job: Job, kind: EventType, now_ms: int, **trace: str) -> bytes:
    return orjson.dumps(
        {
            "id": f"evt_{secrets.token_hex(16)}",
            "type": kind,
            "created_ms": now_ms,
            "kind": job.kind,
            "tenant": job.tenant,
            "parent": job.parent,
            **trace,
        }
    )
