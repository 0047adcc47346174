"""What a realtime worker needs to know."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from antiphon.bus import RetryPolicy
from antiphon.settings import BusSettings, WorkerSettings


class RealtimeSettings(WorkerSettings):
    """How many sessions a worker holds, how soon another one takes them over, and what a session may use."""

    realtime_lease: timedelta = Field(default=timedelta(seconds=0.6), ge=timedelta(seconds=0.2))
    """How long a session stays with a worker that gives no sign of life."""
    realtime_concurrency: int = Field(default=64, ge=1)
    """Sessions that one worker holds at a time."""
    realtime_kept_audio_bytes: int = Field(default=16_000_000, ge=0)
    """Audio of its items that is kept for one session; the oldest goes first."""
    realtime_buffer: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0))
    """Longest input that may wait to be committed."""
    realtime_context_tokens: int = Field(default=28_672, ge=256)
    """Tokens of a conversation that an upstream is given for a response, unless the catalogue says otherwise."""
    context_tokens: int = Field(default=4096, ge=512)
    """Tokens that an embedded model sees, unless the catalogue says otherwise: as responders are told."""
    realtime_requests_per_minute: int = Field(default=1_000, ge=0)
    """Responses that one session may begin in a minute."""
    realtime_tokens_per_minute: int = Field(default=1_000_000, ge=0)
    """Tokens that the responses of one session may take in a minute."""
    realtime_response_timeout: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0))
    """How long one response may take."""
    realtime_mcp_timeout: timedelta = Field(default=timedelta(seconds=60), gt=timedelta(0))
    """How long an MCP server may take to answer."""

    @property
    def session_bus(self) -> BusSettings:
        """The bus of a worker that lets go of its sessions at once: they go on elsewhere."""
        return self.bus.model_copy(update={"lease": self.realtime_lease, "drain": timedelta(0)})

    @property
    def retry(self) -> RetryPolicy:
        """The policy of the lane: a session goes on however many workers it has seen; its handler bounds crashes."""
        pause = timedelta(milliseconds=100)
        return RetryPolicy(max_attempts=1_000_000, backoff=pause, max_backoff=pause)
