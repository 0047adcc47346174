"""Keys: kept as digests, compared in constant time, checked before a byte of the body is read."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.errors import AntiphonError, InvalidApiKey, InvalidValue
from services.ingest.errors import error_response
from services.ingest.realtime.handshake import keys_of_upgrade, without_keys
from services.ingest.realtime.secrets import Pinned
from services.ingest.surface import surface_of

_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_GUARDED = ("/v1/", "/openai/", "/speechtotext/")
_SIGNED = "/speechtotext/content/"
"""Links that carry their own permission."""
_CALLS = re.compile(r"/realtime(/translations)?/calls$")
"""Where browsers come with their client secret besides WebSockets."""


@dataclass(frozen=True)
class Principal:
    """Who is calling."""

    tenant: str
    pinned: Pinned | None = None
    """The session that a client secret is good for, and nothing else."""


FindSecret = Callable[[str], Awaitable[Pinned | None]]


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

    def __init__(self, app: ASGIApp, *, keyring: Keyring, find_secret: FindSecret | None = None) -> None:
        """`find_secret` is asked about keys to live sessions that are not on the keyring."""
        self._app = app
        self._keyring = keyring
        self._find_secret = find_secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass when any of its keys is known."""
        if scope["type"] in ("http", "websocket") and is_guarded(scope["path"]):
            try:
                scope["principal"] = await self._principal(scope)
            except AntiphonError as error:
                await error_response(error, surface_of(scope["path"]))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal:
        """Return whose request it is. Raises `InvalidApiKey`, and `Unavailable` where only the bus could tell."""
        keys = presented_keys(Headers(scope=scope))
        if scope["type"] == "websocket":
            keys += keys_of_upgrade(scope["query_string"], scope["subprotocols"])
            # From here on nobody sees the key in the URL: not a log, not a trace, not a handler.
            scope["query_string"] = without_keys(scope["query_string"])
        for key in keys:
            if principal := self._keyring.find(key):
                return principal
        if self._find_secret and (scope["type"] == "websocket" or _CALLS.search(scope["path"])):
            for key in keys:
                if pinned := await self._find_secret(key):
                    return Principal(pinned.tenant, pinned)
        raise InvalidApiKey(_refusal(keys))


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
