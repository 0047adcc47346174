"""Settings of the ingest service."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from antiphon.schemas import Kind
from antiphon.settings import BlobSettings, BusSettings, EgressSettings, ProcessSettings
from services.ingest.access.settings import AccessSettings
from services.ingest.chat.settings import ChatSettings
from services.ingest.realtime.settings import RealtimeSettings
from services.ingest.speech.settings import SpeechSettings

MAX_UPLOAD_BYTES = 26_214_400
"""What the hosted service accepts: 25 MiB for the whole body."""


class IngestSettings(ProcessSettings):
    """Where to listen, whom to serve and how much to accept."""

    bus: BusSettings = Field(default_factory=BusSettings)
    blobs: BlobSettings = Field(default_factory=BlobSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    speech: SpeechSettings = Field(default_factory=SpeechSettings)
    chat: ChatSettings = Field(default_factory=ChatSettings)
    realtime: RealtimeSettings = Field(default_factory=RealtimeSettings)
    access: AccessSettings = Field(default_factory=AccessSettings)
    models_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    path_prefix: str = Field(default="", pattern=r"^(/[^/]+)*$")
    """A path that a proxy in front leaves before all others."""
    api_keys: SecretStr = SecretStr("")
    """Keys that are let in, separated by commas: in clear, or as `sha256:` and 64 hex digits."""
    strict: bool = False
    """Refuse what the hosted models refuse, although the local ones could do it."""
    lanes: tuple[Kind, ...] = ("transcribe", "translate", "synthesize", "respond", "realtime")
    """Kinds of work that must have a worker before this service calls itself ready."""
    max_upload_bytes: int = Field(default=MAX_UPLOAD_BYTES, ge=1)
    request_timeout: timedelta = timedelta(seconds=600)
    """How long a caller waits for a job; travels with the job as its deadline."""
    ping: timedelta = timedelta(seconds=10)
    """Silence on an event stream after which a comment is sent."""
    drain_delay: timedelta = Field(default=timedelta(0), ge=timedelta(0))
    """How long clients are still let in after the order to stop, so that who sends them here can notice."""
    grace: timedelta = Field(default=timedelta(seconds=30), ge=timedelta(0))
    """How long requests may go on when nobody is let in any more."""
