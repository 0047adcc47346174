"""What a session is told about the installation that it lives in."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.realtime.session_object import Known


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts of one session; the same for every worker that may hold it."""

    session_id: str
    tenant: str
    locked: bool
    """Whether the client's changes of the session are refused."""
    known: Known
    """What session objects may name."""
    model: str
    """Model of `respond` jobs: the session's own name for it; empty for a session that answers nothing."""
    sees: bool = False
    """Whether that model takes pictures."""
    speaks: bool = False
    """Whether that model gives sound itself."""
    speech_model: str = ""
    """Model of `synthesize` jobs."""
    transcriber: str = ""
    """Model of `transcribe` jobs where the session names none."""
    translator: str = ""
    """Model of `translate` jobs; empty where there is none."""
    voice: str = "marin"
    """Who speaks where the session names nobody."""
    spoken_languages: tuple[str, ...] = ("en",)
    """ISO-639-1 codes of what the synthesizer speaks."""
    context_tokens: int = 28_672
    """Tokens of a conversation that a response may be given."""
    turn_tokens: int = 4_096
    """Most tokens of one response."""
    buffer_limit_ms: int = 600_000
    """Longest input that may wait to be committed."""
    kept_audio_bytes: int = 16_000_000
    """Audio of items that is kept for `conversation.item.retrieve`; the oldest goes first."""
    longest_response_ms: int = 600_000
    """How long a response may take."""
    requests_per_minute: int = 1_000
    """Responses that a session may begin in a minute."""
    tokens_per_minute: int = 1_000_000
    """Tokens that the responses of a session may take in a minute."""
