"""What is kept of a key."""

from __future__ import annotations

import hmac
from typing import Literal

from pydantic import Field

from antiphon.bus import Limits
from antiphon.schemas import Priority, Schema

KeyState = Literal["active", "expired", "revoked"]


class Grace(Schema):
    """A key that has been replaced and still opens for a while."""

    digest: str
    until: int = Field(description="epoch seconds")


class KeyRecord(Schema):
    """A key without the key: whose it is, and what it may do."""

    id: str = Field(description="`key_` and 16 hex digits")
    digest: str = Field(repr=False, description="SHA-256 of the key, in hex")
    hint: str = Field(description="the last four characters of the key")
    name: str
    tenant: str = Field(description="whose jobs, webhooks and stored completions it sees; several keys may share one")
    limits: Limits = Limits()
    priority: Priority = Field(default="hi", description="the highest it gets")
    models: tuple[str, ...] = Field(default=(), description="patterns of the models it may use; none: all")
    created_at: int = Field(description="epoch seconds")
    expires_at: int | None = Field(default=None, description="epoch seconds")
    revoked_at: int | None = Field(default=None, description="epoch seconds")
    previous: Grace | None = None

    def state(self, now_s: float) -> KeyState:
        """Return what has become of it."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now_s >= self.expires_at else "active"

    def opens(self, digest: str, now_s: float) -> bool:
        """Tell whether a key of this digest is let in now. Takes the same time for every digest."""
        known = hmac.compare_digest(digest, self.digest)
        if self.previous is not None:
            still = hmac.compare_digest(digest, self.previous.digest)
            known = known or (still and now_s < self.previous.until)
        return known and self.state(now_s) == "active"

    def ended_at(self) -> int | None:
        """Return when it ended, or will end, in epoch seconds; None for one that has no end yet."""
        ends = [at for at in (self.revoked_at, self.expires_at) if at is not None]
        return min(ends, default=None)
