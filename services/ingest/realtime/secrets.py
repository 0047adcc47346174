"""Client secrets: short-lived keys for browsers, good for live sessions and nothing else.

Each is bound to a session configuration. It opens any number of sessions, at any replica, until it expires; how long
those last does not depend on it. A request for one may carry `"locked": true`, which the hosted API does not know: the
sessions it opens then refuse every `session.update` of their client, so that who talks cannot change what it talks to.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import orjson

from antiphon.bus import Values

_PREFIX = "ek_"


@dataclass(frozen=True)
class Pinned:
    """What a secret stands for: whose it is, and the session object to begin with."""

    tenant: str
    session: dict[str, Any]
    locked: bool = False
    key: str | None = None
    """Id of the key that made it, whose terms hold; None for one that has no record."""
    account: str | None = None
    """Who shares the limits of that key, if not all who use it."""


@dataclass(frozen=True)
class Issued:
    """A secret that has been made. `expires_at` in epoch seconds."""

    value: str
    expires_at: int


@dataclass(frozen=True)
class ClientSecrets:
    """Makes secrets and knows them again. Only their digests are kept."""

    values: Values
    now_ms: Callable[[], int]

    async def issue(self, pinned: Pinned, ttl: timedelta) -> Issued:
        """Make a secret that is good for `ttl`. Raises `Unavailable`."""
        value = _PREFIX + secrets.token_hex(24)
        # Doors of an older version read it, too, and know nothing of keys.
        kept = {name: each for name, each in asdict(pinned).items() if each is not None}
        await self.values.put(_key(value), orjson.dumps(kept), ttl)
        return Issued(value, self.now_ms() // 1000 + int(ttl.total_seconds()))

    async def find(self, value: str) -> Pinned | None:
        """Return what a secret stands for, None when it is none or has expired. Raises `Unavailable`."""
        if not value.startswith(_PREFIX):
            return None
        kept = await self.values.get(_key(value))
        return None if kept is None else Pinned(**orjson.loads(kept))


def _key(value: str) -> str:
    return f"client-secret:{hashlib.sha256(value.encode()).hexdigest()}"
