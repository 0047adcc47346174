"""What the processes that recognise speech need to know."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from antiphon.settings import WorkerSettings


class RecognitionSettings(WorkerSettings):
    """Read from the environment."""

    parallel_windows: int | None = Field(default=None, ge=1)
    """Windows recognised side by side; absent, as many as there are threads, at most four."""
    decoders: int = Field(default=2, ge=1)
    """Processes that decode audio files."""
    bulk_apart: bool = True
    """Recognise bulk jobs with a copy of the model that gives way to all others, loaded with the first of them."""
    max_audio: timedelta = timedelta(hours=4)
    """Longest recording that is accepted."""
