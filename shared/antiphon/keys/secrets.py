"""The keys themselves: what they look like, and what is kept of them."""

from __future__ import annotations

import hashlib
import re
import secrets

_PREFIX = "sk-antiphon-"
_SHAPE = re.compile(re.escape(_PREFIX) + r"[A-Za-z0-9_-]{43}")


def new_key() -> str:
    """Return a key: a prefix and 256 random bits in 43 letters."""
    return _PREFIX + secrets.token_urlsafe(32)


def is_key(text: str) -> bool:
    """Tell whether something looks like a key, so that guesses of another shape need not be looked up."""
    return _SHAPE.fullmatch(text) is not None


def digest_of(key: str) -> str:
    """Return what is kept of a key, in hex. It is random, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()
