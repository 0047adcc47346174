"""What a responder needs to know."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from antiphon.settings import WorkerSettings


class Settings(WorkerSettings):
    """The settings of a worker, and how much an embedded model may hold."""

    context_tokens: int = Field(default=4096, ge=512)
    """Tokens of one conversation that an embedded model sees, unless the catalogue says otherwise."""
    parallel: int = Field(default=8, ge=1, le=64)
    """Conversations that an embedded model continues at a time."""
    prompt_cache_mib: int = Field(default=512, ge=0)
    """Memory for the beginnings of conversations that an embedded model keeps at hand."""
    first_token: timedelta = timedelta(seconds=60)
    """How long an upstream may take to begin its answer."""
    next_token: timedelta = timedelta(seconds=30)
    """How long an upstream may be silent in the middle of one."""
