"""What is kept about jobs that are followed over HTTP."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from antiphon.schemas.base import Kind, Priority, Schema
from antiphon.schemas.results import Outcome, Progress

State = Literal["queued", "running", "completed", "failed", "cancelled", "expired"]
"""A job between two attempts is `queued` with attempts behind it."""


class JobRequest(Schema):
    """What a job's owner asked for besides the work itself."""

    priority: Priority = "bulk"
    format: str | None = Field(default=None, description="of the transcript, as /audio/transcriptions names it")
    granularities: tuple[str, ...] = ()
    source: str | None = Field(default=None, description="file name or URL of the audio, as its owner knows it")
    fingerprint: str | None = Field(default=None, description="of the request, to tell a repetition from another one")


class JobRecord(Schema):
    """A job as its owner sees it."""

    job: dict[str, Any] = Field(description="JSON of the job, without what is secret")
    kind: Kind
    request: JobRequest
    state: State
    attempts: int = 0
    started_ms: int | None = None
    finished_ms: int | None = None
    progress: Progress | None = None
    outcome: Outcome | None = Field(default=None, description="present when the job has ended and was asked for alone")

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.job["id"])

    @property
    def tenant(self) -> str:
        """Whose job it is."""
        return str(self.job["tenant"])

    @property
    def ended(self) -> bool:
        """Tell whether the job has its one result."""
        return self.state not in {"queued", "running"}


class BatchRecord(Schema):
    """A batch: many jobs of one kind with one parent."""

    id: str
    kind: Kind
    tenant: str
    created_ms: int
    total: int
    definition: dict[str, Any] = Field(description="what its owner asked for; kept as it is")
    started: bool = False
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    updated_ms: int = 0

    @property
    def ended(self) -> bool:
        """Tell whether every job has its result."""
        return self.completed + self.failed + self.cancelled + self.expired >= self.total

    def job_id(self, index: int) -> str:
        """Return the id of job number `index`, from 0."""
        return f"{self.id}.{index}"
