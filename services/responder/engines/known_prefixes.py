"""Who has said what before, so that nobody is told what another's conversation left in the cache."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence

_MOST = 20_000


class KnownPrefixes:
    """Remembers by digest how the conversations of each tenant began, the latest 20000 messages of all.

    The model's cache serves whoever begins with the same words. That costs nobody anything, but the number of cached
    tokens would tell a tenant that somebody else has used them; so it counts only what the tenant itself has said.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._most = most

    def known(self, tenant: str, lines: Sequence[Mapping[str, str]]) -> int:
        """Return how many of the first lines the tenant has had in one conversation before."""
        count = 0
        for digest in _chain(tenant, lines):
            if digest not in self._seen:
                break
            count += 1
        return count

    def add(self, tenant: str, lines: Sequence[Mapping[str, str]]) -> None:
        """Remember a conversation and all its beginnings."""
        for digest in _chain(tenant, lines):
            self._seen[digest] = None
            self._seen.move_to_end(digest)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)


def _chain(tenant: str, lines: Sequence[Mapping[str, str]]) -> list[bytes]:
    digest = hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).digest()
    chain = []
    for line in lines:
        parts = (line["role"], line["content"])
        digest = hashlib.sha256(b"\0".join([digest, *(p.encode("utf-8", "surrogatepass") for p in parts)])).digest()
        chain.append(digest)
    return chain
