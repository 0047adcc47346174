"""Ids of what a session brings forth: opaque, yet the same for every worker that holds the session."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SPELLING = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))
_LENGTH = 21


class Ids:
    """Makes the ids of one session in order. `made` says how many there have been, and is all that has to be kept."""

    def __init__(self, seed: str, made: int = 0) -> None:
        self._seed = seed.encode()
        self.made = made

    def next(self, kind: str) -> str:
        """Return the next id, such as `item_…` for the kind "item": 21 base-62 characters that nobody can foretell."""
        self.made += 1
        return f"{kind}_{_spelled(self._seed, self.made)}"

    def many(self, kinds: Iterable[str]) -> list[str]:
        """Return one id of each of `kinds`, in order."""
        return [self.next(kind) for kind in kinds]


def _spelled(seed: bytes, count: int) -> str:
    digest = hashlib.blake2b(count.to_bytes(8), key=seed[:64], digest_size=_LENGTH).digest()
    return digest.translate(_SPELLING).decode()
