"""Settings of chat completions."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from antiphon.settings import Settings

MAX_BODY_BYTES = 64 * 2**20


class ChatSettings(Settings):
    """How much a conversation may bring, and how long what belongs to it is kept."""

    chat_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1)
    """Largest request: a message may hold 20 MB of audio, and base64 adds a third."""
    chat_audio_ttl: timedelta = timedelta(hours=24)
    """How long a conversation may refer to a spoken answer by the id of its audio."""
    chat_heard_ttl: timedelta = timedelta(hours=1)
    """How long the words of a recording are kept after it was last sent, since every turn sends all of them again."""
    chat_store_ttl: timedelta = timedelta(days=30)
    """How long completions are stored that were made with `store`."""
    chat_stored_limit: int = Field(default=1_000, ge=1)
    """Stored completions of one key; the oldest go first."""
    chat_stored_bytes: int = Field(default=2**20, ge=1)
    """Largest conversation that is stored, in bytes of JSON without recordings and pictures."""
