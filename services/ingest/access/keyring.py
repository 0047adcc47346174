"""The operator's own keys, from the environment: without limits, each a tenant of its own."""

from __future__ import annotations

import hashlib
import hmac
import re

from services.ingest.access.principal import Principal

_HASHED = re.compile(r"sha256:([0-9a-f]{64})")


class Keyring:
    """The keys that are let in, as SHA-256 digests: a key is random, so a slow hash would add nothing."""

    def __init__(self, digests: tuple[bytes, ...]) -> None:
        self._digests = digests

    @classmethod
    def parse(cls, keys: str) -> Keyring:
        """Read keys separated by commas, each in clear or as `sha256:` and hex digits."""
        named = [key.strip() for key in keys.split(",") if key.strip()]
        return cls(tuple(_digest_of(key) for key in named))

    def __bool__(self) -> bool:
        """Tell whether there are any keys."""
        return bool(self._digests)

    def find(self, key: str) -> Principal | None:
        """Return whose key this is, None when it is nobody's. Takes the same time for every wrong key."""
        digest = hashlib.sha256(key.encode()).digest()
        found = None
        for known in self._digests:
            if hmac.compare_digest(digest, known):
                found = known
        return Principal(tenant=f"key-{found.hex()[:12]}") if found else None


def _digest_of(key: str) -> bytes:
    hashed = _HASHED.fullmatch(key)
    return bytes.fromhex(hashed[1]) if hashed else hashlib.sha256(key.encode()).digest()
