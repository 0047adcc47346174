"""The error of a job as it travels on the bus."""

from __future__ import annotations

from pydantic import Field

from antiphon.schemas.base import Schema


class ErrorInfo(Schema):
    """What went wrong, in the words of the public API."""

    message: str
    type: str = "server_error"
    code: str | None = None
    param: str | None = None
    http_status: int = Field(default=500, ge=400, le=599)
    retryable: bool = False
    retry_after_s: float | None = None
