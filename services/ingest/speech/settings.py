"""Settings of the Azure AI Speech routes."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from antiphon.settings import Settings

MAX_FAST_BYTES = 300 * 2**20


class SpeechSettings(Settings):
    """Which model serves these routes, and how much a fast transcription may bring."""

    speech_model: str = "whisper-1"
    """Name of the model for requests that name none."""
    speech_upload_bytes: int = Field(default=MAX_FAST_BYTES, ge=1)
    """Largest body of a fast transcription."""
    speech_request_timeout: timedelta = timedelta(hours=2)
    """How long the caller of a fast transcription waits."""
