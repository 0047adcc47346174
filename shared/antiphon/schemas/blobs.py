"""References to payloads that are too large for a job."""

from __future__ import annotations

from pydantic import Field

from antiphon.schemas.base import Schema


class BlobRef(Schema):
    """Bytes at `redis:KEY`, `file:NAME` or `s3:NAME` in the platform's own stores, or inline as `data:;base64,…`."""

    uri: str = Field(min_length=1)
    size: int | None = Field(default=None, ge=0, description="bytes")
    media_type: str | None = None
