"""Settings shared by all processes. Each is read once, in `__main__`, and passed down."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_NUMBER = re.compile(r"\s*\d+(\.\d*)?\s*")

CANNOT_START = 78
"""Exit code of a process that will not start however often it is tried: EX_CONFIG."""


def duration_of(value: object) -> object:
    """Return a plain number in text as seconds, which a duration may be given as; anything else as it is."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def default_cache_dir() -> Path:
    """Return where weights are kept: `$XDG_CACHE_HOME/antiphon`, else `~/.cache/antiphon`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon"


def process_name() -> str:
    """Return a name for this process that no other living process has."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"


class Settings(BaseSettings):
    """Read from the environment: the field's name in capitals behind `ANTIPHON_`."""

    model_config = SettingsConfigDict(env_prefix="ANTIPHON_", frozen=True, extra="ignore", populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _read_seconds(cls, value: object, info: ValidationInfo) -> object:
        field = cls.model_fields[info.field_name or ""]
        return duration_of(value) if field.annotation is timedelta else value

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment. A process whose settings are wrong says which in one line and exits with 78."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = "_".join(str(part) for part in first["loc"]).upper()
            variable = name if name == "REDIS_URL" else f"ANTIPHON_{name}"
            sys.stderr.write(f"cannot start: {variable}: {first['msg']}\n")
            raise SystemExit(CANNOT_START) from None


class WatchSettings(Settings):
    """Where a process tells how it is: `/metrics`, `/healthz`, `/readyz`."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    """0: nowhere."""
    stuck_after: timedelta = Field(default=timedelta(seconds=30), ge=timedelta(seconds=10))
    """How long a loop that keeps the process going may stand still before `/healthz` says so."""


class ProcessSettings(Settings):
    """What every process needs to know."""

    watch: WatchSettings = Field(default_factory=WatchSettings)
    log_level: str = "INFO"


class BusSettings(Settings):
    """Where the bus is and how its workers behave."""

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        validation_alias=AliasChoices("REDIS_URL", "ANTIPHON_REDIS_URL", "redis_url"),
    )
    lease: timedelta = timedelta(seconds=30)
    """How long a job stays with a worker that gives no sign of life."""
    max_attempts: int = Field(default=5, ge=1)
    backoff: timedelta = timedelta(milliseconds=500)
    """Before the second attempt; doubles with each one after it."""
    max_backoff: timedelta = timedelta(seconds=60)
    drain: timedelta = timedelta(seconds=20)
    """How long a worker that is told to stop lets its jobs run before it hands them back."""
    max_backlog: int = Field(default=2_000, ge=1)
    """Jobs waiting in one lane and priority above which new ones are refused."""
    max_wait: timedelta = timedelta(minutes=2)
    """How long a waiting caller's job may be expected to stay in line before new ones are refused."""
    max_bulk_backlog: int = Field(default=200_000, ge=1)
    """The same for the priority `bulk`."""
    output_ttl: timedelta = timedelta(minutes=10)
    """How long a streamed output can still be read after its last entry."""
    replicas: int = Field(default=0, ge=0)
    """Replicas of the server that must have a job before it counts as accepted."""
    dead_limit: int = Field(default=100_000, ge=1)
    """Dead letters kept per lane; the oldest go first."""


class BlobSettings(Settings):
    """Where payloads lie."""

    blob_url: str | None = None
    """`file:///folder` or `s3://bucket/prefix`; absent, everything goes to Redis."""
    blob_inline_bytes: int = Field(default=64 * 1024, ge=0)
    """Payloads up to this size go to Redis when a `blob_url` is set."""
    blob_ttl: timedelta = timedelta(hours=24)
    max_fetch_bytes: int = Field(default=1024**3, ge=1)
    """Largest recording that is fetched from a URL."""


class EgressSettings(Settings):
    """Which hosts may be asked on behalf of strangers."""

    egress_allow: Annotated[tuple[str, ...], NoDecode] = ()
    """Networks that are allowed although they are private, by http and on any port, too."""

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError("neither a JSON list nor networks separated by commas") from None
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("egress_allow")
    @classmethod
    def _check(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"not a network such as 10.0.0.0/8: {error}") from None
        return networks


class WorkerSettings(ProcessSettings):
    """What every worker process needs to know."""

    bus: BusSettings = Field(default_factory=BusSettings)
    blobs: BlobSettings = Field(default_factory=BlobSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    cache_dir: Path = Field(default_factory=default_cache_dir)
    models_file: Path | None = None
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Threads that one model call may use."""
    concurrency: int = Field(default=16, ge=1)
    """Jobs that one worker holds at a time."""
