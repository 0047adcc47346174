"""A job as its owner sees it."""

from __future__ import annotations

from typing import Any, cast

from antiphon.errors import AntiphonError, Cancelled, DeadlineExceeded, Failure, JobFailed, NotFound
from antiphon.models import Catalogue
from antiphon.schemas import ErrorInfo, JobRecord, Kind, Outcome, Progress, RecognitionOptions, Speech, Transcript
from services.ingest.errors_openai import error_object
from services.ingest.formats.transcripts import Document, content_of, render
from services.ingest.jobs.errors import JobNotFinished
from services.ingest.parameters.transcription import Granularity, TranscriptFormat, TranscriptionRequest


class JobView:
    """Shows jobs. `base` is the path of the list of jobs, as clients reach it."""

    def __init__(self, catalogue: Catalogue, base: str) -> None:
        self._catalogue = catalogue
        self.base = base

    def path(self, job_id: str) -> str:
        """Return where a job is found."""
        return f"{self.base}/{job_id}"

    def whole(self, record: JobRecord, *, secret: str | None = None) -> dict[str, Any]:
        """Return the object of a job with its result; with `secret`, the one that was just made for its webhook."""
        shown = self.listed(record, record.outcome) | {"result": self._result(record)}
        if secret is not None:
            shown["webhook"] |= {"secret": secret}
        return shown

    def listed(self, record: JobRecord, outcome: Outcome | None) -> dict[str, Any]:
        """Return the object of a job without its result."""
        job = record.job
        return {
            "id": record.id,
            "object": "job",
            "kind": record.kind,
            "status": record.state,
            "created_at": job["created_ms"] // 1000,
            "started_at": _seconds(record.started_ms),
            "finished_at": _seconds(record.finished_ms),
            "deadline_at": _seconds(job.get("deadline_ms")),
            "attempts": record.attempts,
            "progress": progress_object(record.kind, _progress(record)),
            "priority": record.request.priority,
            "model": job["model"],
            "source": record.request.source,
            "metadata": job.get("metadata") or {},
            "webhook": _webhook(job.get("webhook")),
            "error": _error(outcome),
            "result_url": f"{self.path(record.id)}/content" if record.state == "completed" else None,
        }

    def document(self, record: JobRecord) -> Document:
        """Return the transcript in the format that was asked for."""
        transcript, request = _transcript(record)
        return render(transcript, request, self._catalogue.resolve(record.job["model"], record.kind).public)

    def _result(self, record: JobRecord) -> Any:
        if record.outcome is None or record.outcome.status != "completed":
            return None
        if record.kind == "synthesize":
            speech = Speech.model_validate(record.outcome.result)
            shown = speech.model_dump(include={"media_type", "duration", "size"})
            return shown | {"url": f"{self.path(record.id)}/content"}
        transcript, request = _transcript(record)
        return content_of(transcript, request, self._catalogue.resolve(record.job["model"], record.kind).public)


def check_completed(record: JobRecord) -> Outcome:
    """Return the outcome of a job that has its result. Raises `JobNotFinished`, the job's own error, `NotFound`."""
    if not record.ended:
        raise JobNotFinished(f"The job is {record.state}. Its content is there when it has completed.")
    outcome = record.outcome
    if outcome is None:
        raise NotFound("The result of this job is no longer there.")
    if outcome.status != "completed":
        raise _failure(outcome)
    return outcome


def progress_object(kind: Kind, progress: Progress | None) -> dict[str, Any] | None:
    """Return how far a job is, in the unit of its kind of work."""
    if progress is None:
        return None
    unit = "characters" if kind == "synthesize" else "seconds"
    return {"done": progress.done, "total": progress.total, "unit": unit}


def _progress(record: JobRecord) -> Progress | None:
    """Return how far a job is; what was noted last may lie a little before the end of one that has completed."""
    if record.state != "completed":
        return record.progress
    total = record.progress.total if record.progress else None
    if record.kind == "synthesize":
        total = len(record.job["text"])
    elif record.outcome is not None and record.outcome.result is not None:
        total = record.outcome.result.get("duration")
    return None if total is None else Progress(done=total, total=total)


def _failure(outcome: Outcome) -> AntiphonError:
    if outcome.error is not None:
        # The job has had all its attempts: to ask once more would not change how it ended.
        return JobFailed(outcome.error.model_copy(update={"retryable": False, "retry_after_s": None}))
    match outcome.status:
        case "cancelled":
            return Cancelled("The job was cancelled.")
        case "expired":
            return DeadlineExceeded("The deadline passed before the job was done.")
    return Failure("The job failed.")


def _error(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None or outcome.status == "completed":
        return None
    info: ErrorInfo = _failure(outcome).info()
    error: dict[str, Any] = error_object(info)["error"]
    return error


def _transcript(record: JobRecord) -> tuple[Transcript, TranscriptionRequest]:
    outcome, request = record.outcome, record.request
    result = outcome.result if outcome else None
    return Transcript.model_validate(result), TranscriptionRequest(
        format=cast("TranscriptFormat", request.format or "json"),
        options=RecognitionOptions.model_validate(record.job.get("options") or {}),
        granularities=cast("frozenset[Granularity]", frozenset(request.granularities or ("segment",))),
    )


def _webhook(target: dict[str, Any] | None) -> dict[str, Any] | None:
    if target is None:
        return None
    receiver = "url" if target.get("url") else "endpoint"
    return {receiver: target.get(receiver), "events": target.get("events")}


def _seconds(ms: int | None) -> int | None:
    return None if ms is None else ms // 1000
