"""Keys: kept as digests, compared in constant time, checked before a byte of the body is read."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.errors import InvalidApiKey, InvalidValue
from services.ingest.errors import error_response
from services.ingest.surface import surface_of

_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_GUARDED = ("/v1/", "/openai/", "/speechtotext/")
_SIGNED = "/speechtotext/content/"
"""Links that carry their own permission."""


@dataclass(frozen=True)
class Principal:
    """Who is calling."""

    tenant: str


def tenant_of(request: Request) -> str:
    """Return whose key came with a request."""
    principal: Principal = request.scope["principal"]
    return principal.tenant


class Keyring:
    """The keys that are let in, as SHA-256 digests: a key is random, so a slow hash would add nothing."""

    def __init__(self, digests: tuple[bytes, ...]) -> None:
        self._digests = digests

    @classmethod
    def parse(cls, keys: str) -> Keyring:
        """Read keys separated by commas, each in clear or as `sha256:` and hex digits.

        Raises `InvalidValue` when there is none.
        """
        named = [key.strip() for key in keys.split(",") if key.strip()]
        if not named:
            raise InvalidValue("No API key is set: name at least one in ANTIPHON_API_KEYS.")
        return cls(tuple(_digest_of(key) for key in named))

    def find(self, key: str) -> Principal | None:
        """Return whose key this is, None when it is nobody's. Takes the same time for every wrong key."""
        digest = hashlib.sha256(key.encode()).digest()
        found = None
        for known in self._digests:
            if hmac.compare_digest(digest, known):
                found = known
        return Principal(tenant=f"key-{found.hex()[:12]}") if found else None


class Authentication:
    """ASGI middleware that leaves the `Principal` in `scope["principal"]` or answers 401."""

    def __init__(self, app: ASGIApp, *, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass when any of its keys is known."""
        if scope["type"] == "http" and is_guarded(scope["path"]):
            keys = presented_keys(Headers(scope=scope))
            principals = [principal for key in keys if (principal := self._keyring.find(key))]
            if not principals:
                refusal = error_response(InvalidApiKey(_refusal(keys)), surface_of(scope["path"]))
                await refusal(scope, receive, send)
                return
            scope["principal"] = principals[0]
        await self._app(scope, receive, send)


def is_guarded(path: str) -> bool:
    """Tell whether a path needs a key."""
    return f"{path}/".startswith(_GUARDED) and not path.startswith(_SIGNED)


def presented_keys(headers: Headers) -> list[str]:
    """Return the keys a request carries, in whichever header its client puts them."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    candidates = [
        token.strip() if scheme.lower() == "bearer" else "",
        headers.get("api-key", ""),
        headers.get("ocp-apim-subscription-key", ""),
    ]
    return [key for key in candidates if key]


def masked(key: str) -> str:
    """Return a key as it may be shown: the ends of a long one, nothing of a short one."""
    return f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) >= 16 else "*" * 8


def _digest_of(key: str) -> bytes:
    hashed = _HASHED.fullmatch(key)
    return bytes.fromhex(hashed[1]) if hashed else hashlib.sha256(key.encode()).digest()


def _refusal(keys: list[str]) -> str:
    if keys:
        return f"Incorrect API key provided: {masked(keys[0])}. Ask the operator of this server for a key."
    return (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or in an api-key header."
    )
