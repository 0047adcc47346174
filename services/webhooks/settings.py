"""Settings of the webhook service."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from antiphon.bus import RetryPolicy
from antiphon.settings import BusSettings, EgressSettings, ProcessSettings, duration_of
from antiphon.webhooks import Breaker

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

SCHEDULE = (
    5 * _SECOND,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)


class WebhookSettings(ProcessSettings):
    """How events are sent, and when a receiver is given up."""

    bus: BusSettings = Field(default_factory=BusSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    webhook_concurrency: int = Field(default=64, ge=1)
    """Deliveries that one process makes at a time."""
    webhook_in_flight: int = Field(default=8, ge=1)
    """Deliveries that one process makes to one receiver at a time."""
    webhook_timeout: timedelta = Field(default=15 * _SECOND, gt=timedelta(0), le=30 * _SECOND)
    """How long a receiver may take to answer."""
    webhook_schedule: Annotated[tuple[timedelta, ...], NoDecode] = SCHEDULE
    """The pauses between attempts: durations such as `PT5M`, separated by commas."""
    webhook_failures: int = Field(default=5, ge=1)
    """Failures in a row after which a receiver is left alone for a while."""
    webhook_pause: timedelta = Field(default=30 * _SECOND, gt=timedelta(0))
    """How long a failing receiver is left alone at first; doubles each time it fails again."""
    webhook_max_pause: timedelta = Field(default=10 * _MINUTE, gt=timedelta(0))
    webhook_disable_after: timedelta = Field(default=timedelta(days=5), gt=timedelta(0), le=timedelta(days=5))
    """How long a registered receiver may fail without any success before it is disabled."""

    @field_validator("webhook_schedule", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                parts = json.loads(value)
            except ValueError:
                raise ValueError("neither a JSON list nor durations separated by commas") from None
        else:
            parts = [part.strip() for part in value.split(",") if part.strip()]
        return [duration_of(part) for part in parts] if isinstance(parts, list) else parts

    @property
    def retry(self) -> RetryPolicy:
        """The policy of the lane: the first attempt at once, one more after each pause."""
        pauses = self.webhook_schedule
        longest = max(pauses, default=timedelta(0))
        return RetryPolicy(max_attempts=len(pauses) + 1, backoff=longest, max_backoff=longest, schedule=pauses)

    @property
    def breaker(self) -> Breaker:
        """When a receiver is left alone."""
        return Breaker(
            failures=self.webhook_failures,
            open_ms=max(1, int(self.webhook_pause.total_seconds() * 1000)),
            max_open_ms=max(1, int(self.webhook_max_pause.total_seconds() * 1000)),
        )
