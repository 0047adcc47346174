"""References to payloads that are too large for a job."""

from __future__ import annotations

from pydantic import Field

from antiphon.schemas.base import Schema


class BlobRef(Schema):
    """Bytes in the platform's own stores (`redis:KEY`, `file:NAME`, `s3:NAME`), at `https:…`, or inline as `data:…`."""

    uri: str = Field(min_length=1)
    size: int | None = Field(default=None, ge=0, description="bytes")
    media_type: str | None = None
