"""Events of jobs, and where they are to be sent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from antiphon.schemas.base import Kind, Schema
from antiphon.schemas.errors import ErrorInfo

JobEventType = Literal["job.completed", "job.failed", "job.cancelled", "job.progress"]
"""What a receiver may ask for. A job that expired has failed."""

BatchEventType = Literal["batch.started", "batch.completed"]
"""A first job of a batch has begun; the last one has ended, however it ended."""

EventType = JobEventType | BatchEventType

TERMINAL_EVENTS: tuple[JobEventType, ...] = ("job.completed", "job.failed", "job.cancelled")
JOB_EVENTS: tuple[JobEventType, ...] = (*TERMINAL_EVENTS, "job.progress")


class WebhookTarget(Schema):
    """A receiver for the events of one job: a registered endpoint, or a URL with a secret of its own."""

    endpoint: str | None = Field(default=None, description="only this one of the registered endpoints")
    url: str | None = Field(default=None, max_length=2048)
    secret: str | None = Field(default=None, max_length=256, description="`whsec_` and base64, or any text")
    events: tuple[JobEventType, ...] = TERMINAL_EVENTS

    @model_validator(mode="after")
    def _one_receiver(self) -> WebhookTarget:
        if (self.endpoint is None) == (self.url is None):
            raise ValueError("a webhook names either `endpoint` or `url`")
        return self


class JobEvent(Schema):
    """An entry of a lane's event stream."""

    id: str = Field(description="`evt_` and 32 hex digits: the same however often the event is delivered")
    type: EventType
    created_ms: int = Field(description="epoch milliseconds")
    kind: Kind
    tenant: str
    job_id: str | None = Field(default=None, description="absent for the events of a batch")
    parent: str | None = Field(default=None, description="the batch")
    status: str | None = None
    attempts: int = 0
    job_created_ms: int | None = None
    finished_ms: int | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    done: float | None = Field(default=None, description="how far the work is, in its own unit")
    total: float | None = None
    error: ErrorInfo | None = None
    webhook: WebhookTarget | None = None
    traceparent: str | None = Field(default=None, description="where the job was published, as W3C trace context")
    tracestate: str | None = None
