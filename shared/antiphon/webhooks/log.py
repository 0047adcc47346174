"""What became of deliveries: the attempts of each endpoint, for as long as somebody may ask."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import Field

from antiphon.schemas import Schema

if TYPE_CHECKING:
    from antiphon.bus import Bus

LOG_TTL = timedelta(days=7)
"""How long the log of an endpoint is kept after its last entry."""
LOG_CAP = 1_000
"""Attempts kept per endpoint, about."""
LOGGED_RESPONSE_BYTES = 1_024
"""Bytes of a receiver's answer that are read and kept."""

_PAGE = 100


class DeliveryAttempt(Schema):
    """One attempt at a delivery."""

    entry: str = Field(default="", description="place in the log; `before` takes it")
    event_id: str
    event_type: str
    subject: str | None = Field(default=None, description="id of the job or batch that the event is about")
    delivery_id: str = Field(description="id of the job on the lane `webhook`; a redelivery has one of its own")
    attempt: int = Field(description="from 1; 0 for a delivery that ended without any")
    at_ms: int = Field(description="epoch milliseconds")
    status_code: int | None = Field(default=None, description="absent when there was no answer")
    error: str | None = Field(default=None, description="what was wrong, if not the status")
    duration_ms: int = 0
    response: str = Field(default="", description="the beginning of the answer's body")
    body: str = Field(description="what was sent")

    @property
    def succeeded(self) -> bool:
        """Tell whether the receiver took it."""
        return self.error is None and self.status_code is not None and 200 <= self.status_code < 300


class DeliveryLog:
    """The log of every endpoint. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, bus: Bus) -> None:
        self._journal = bus.journal("deliveries", LOG_TTL, LOG_CAP)

    async def append(self, endpoint_id: str, attempt: DeliveryAttempt) -> None:
        """Write an attempt down."""
        data = attempt.model_dump_json(exclude={"entry"}, exclude_none=True)
        await self._journal.append(endpoint_id, {"attempt": data.encode()})

    async def page(self, endpoint_id: str, *, before: str | None = None, limit: int) -> tuple[DeliveryAttempt, ...]:
        """Return up to `limit` attempts, the newest first."""
        rows = await self._journal.page(endpoint_id, before=before, limit=limit)
        return tuple(
            DeliveryAttempt.model_validate_json(fields[b"attempt"]).model_copy(update={"entry": entry})
            for entry, fields in rows
        )

    async def find(self, endpoint_id: str, event_id: str) -> DeliveryAttempt | None:
        """Return the newest attempt at an event."""
        before: str | None = None
        while page := await self.page(endpoint_id, before=before, limit=_PAGE):
            for attempt in page:
                if attempt.event_id == event_id:
                    return attempt
            before = page[-1].entry
        return None

    async def drop(self, endpoint_id: str) -> None:
        """Forget an endpoint."""
        await self._journal.drop(endpoint_id)
