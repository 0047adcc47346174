"""What a user may choose about a platform on one machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

MemorySize = Annotated[str, StringConstraints(pattern=re.compile(r"^[1-9]\d*(kb|mb|gb|k|m|g)?$", re.IGNORECASE))]


class PlatformSettings(BaseSettings):
    """Settings of `antiphon up`, read from the environment.

    Every other `ANTIPHON_*` variable reaches the services as it is.
    """

    model_config = SettingsConfigDict(env_prefix="ANTIPHON_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    api_keys: str = ""  # comma separated; empty: one is made and kept
    transcribers: int = Field(default=1, ge=0, le=64)
    translators: int = Field(default=1, ge=0, le=64)
    synthesizers: int = Field(default=1, ge=0, le=64)
    responders: int = Field(default=1, ge=0, le=64)
    realtimes: int = Field(default=2, ge=0, le=64)  # a live session goes on when the one that holds it dies
    webhooks: int = Field(default=1, ge=0, le=64)
    drain_delay: timedelta = timedelta(0)  # the door's own: how long clients are still let in
    grace: timedelta = timedelta(seconds=30)  # the door's own: how long requests may go on
    realtime_grace: timedelta = timedelta(seconds=10)  # the door's own: how long live sessions may go on
    drain: timedelta = timedelta(seconds=20)  # the workers' own: how long jobs may go on
    ready: timedelta = timedelta(seconds=120)  # how long all of it may take to start
    server_memory: MemorySize = "1gb"
    metrics_port: int = Field(default=0, ge=0, le=65_000)  # of the door; each worker has the next one; 0: none

    @property
    def door_grace_s(self) -> float:
        """Seconds within which the door ends by itself."""
        return (self.drain_delay + max(self.grace, self.realtime_grace)).total_seconds()

    def keys(self) -> tuple[str, ...]:
        """Return the API keys given, in order, without blanks."""
        return tuple(key for part in self.api_keys.split(",") if (key := part.strip()))

    def workers(self) -> dict[str, int]:
        """Return how many processes of each worker to run."""
        return {
            "transcriber": self.transcribers,
            "translator": self.translators,
            "synthesizer": self.synthesizers,
            "responder": self.responders,
            "realtime": self.realtimes,
            "webhooks": self.webhooks,
        }

    @classmethod
    def from_environment(cls, *, workers: Mapping[str, int] | None = None) -> Self:
        """Read the environment; `workers` overrides how many processes of a worker to run.

        Raises `pydantic.ValidationError`.
        """
        counts: dict[str, Any] = {f"{name.removesuffix('s')}s": count for name, count in (workers or {}).items()}
        return cls(**counts)
