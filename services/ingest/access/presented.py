"""The keys that a request carries, wherever its client puts them, and how one may be shown."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

from services.ingest.realtime.handshake import keys_of_upgrade, without_keys

_GUARDED = ("/v1/", "/openai/", "/speechtotext/")
_SIGNED = "/speechtotext/content/"
"""Links that carry their own permission."""


def is_guarded(path: str) -> bool:
    """Tell whether a path needs a key."""
    return f"{path}/".startswith(_GUARDED) and not path.startswith(_SIGNED)


def take_keys(scope: Scope) -> list[str]:
    """Return the keys of a request; those in its URL are taken out of it."""
    keys = presented_keys(Headers(scope=scope))
    if scope["type"] == "websocket":
        keys += keys_of_upgrade(scope["query_string"], scope["subprotocols"])
        # From here on nobody sees the key in the URL: not a log, not a trace, not a handler.
        scope["query_string"] = without_keys(scope["query_string"])
    return keys


def presented_keys(headers: Headers) -> list[str]:
    """Return the keys in the headers, whichever its client uses."""
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
