"""The public keys of an identity provider: fetched when they are needed, kept when the provider is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from antiphon.errors import Unavailable

_LOG = logging.getLogger("antiphon.ingest")
_PAUSE_S = 10.0
"""Between two fetches, whatever tokens name: who makes up key ids must not make us ask for each."""
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class ProviderKey:
    """A public key; `algorithm` is the one it is for, if it is for one alone."""

    key: Any
    algorithm: str | None


class ProviderKeys:
    """Keys by their ids. One fetch at a time, however many ask."""

    def __init__(
        self, client: httpx.AsyncClient, *, issuer: str, url: str | None, ttl_s: float, pause_s: float = _PAUSE_S
    ) -> None:
        """`url` is where the keys are, if the issuer's discovery document need not be asked."""
        self._client = client
        self._issuer = issuer
        self._url = url
        self._ttl_s = ttl_s
        self._pause_s = pause_s
        self._keys: dict[str | None, ProviderKey] = {}
        self._fetched_s = self._tried_s = float("-inf")
        self._turn = asyncio.Lock()

    async def find(self, key_id: str | None) -> ProviderKey | None:
        """Return a key of the provider; without an id, its only one. Raises `Unavailable` while it has told none."""
        known = self._find(key_id)
        if known is not None and time.monotonic() - self._fetched_s < self._ttl_s:
            return known
        async with self._turn:
            if self._is_due(key_id):
                await self._fetch()
        if not self._keys:
            raise Unavailable("The identity provider cannot be reached. Please try again shortly.", retry_after_s=5.0)
        return self._find(key_id)

    def _find(self, key_id: str | None) -> ProviderKey | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _is_due(self, key_id: str | None) -> bool:
        now_s = time.monotonic()
        stale = now_s - self._fetched_s >= self._ttl_s or self._find(key_id) is None
        return stale and now_s - self._tried_s >= (self._pause_s if self._keys else 1.0)

    async def _fetch(self) -> None:
        self._tried_s = time.monotonic()
        try:
            url = self._url or await self._discover()
            self._keys = _read(await self._get(url))
            self._fetched_s = time.monotonic()
        except (httpx.HTTPError, ValueError) as error:
            _LOG.warning("the keys of the identity provider could not be fetched: %s", type(error).__name__)

    async def _discover(self) -> str:
        found = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        url = found.get("jwks_uri")
        if found.get("issuer") != self._issuer:
            _LOG.error("the discovery document is of another issuer than ANTIPHON_OIDC_ISSUER")
            raise ValueError("another issuer")
        if not isinstance(url, str) or url.partition(":")[0] != self._issuer.partition(":")[0]:
            raise ValueError("no keys")
        return url

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._client.stream("GET", url) as reply:
            reply.raise_for_status()
            body = bytearray()
            async for data in reply.aiter_bytes():
                body += data
                if len(body) > _MOST_BYTES:
                    raise ValueError("too large")
        document = orjson.loads(body)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        return document


def _read(document: Mapping[str, Any]) -> dict[str | None, ProviderKey]:
    """Return the keys of a set that verify signatures. Raises `ValueError` when there is none."""
    published = document.get("keys")
    keys: dict[str | None, ProviderKey] = {}
    for described in published if isinstance(published, list) else ():
        if not isinstance(described, dict) or described.get("kty") not in ("RSA", "EC"):
            continue
        if described.get("use") not in (None, "sig"):
            continue
        # What this version cannot use may be of use to others.
        with suppress(PyJWTError, ValueError):
            jwk = PyJWK.from_dict(described)
            keys[jwk.key_id] = ProviderKey(jwk.key, described.get("alg"))
    if not keys:
        raise ValueError("no keys")
    return keys
