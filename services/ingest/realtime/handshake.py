"""What an upgrade request asks for: its keys, its dialect, its kind of session. Functions of values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers

from antiphon.errors import InvalidValue, MissingParameter, NotFound

SUBPROTOCOL = "realtime"
_KEY_SUBPROTOCOL = "openai-insecure-api-key."
_BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
_BETA_FEATURE = "realtime=v1"
_KEY_PARAMETERS = ("api-key", "authorization")

Dialect = Literal["ga", "beta", "undecided"]
"""`undecided`: as beta, until the client says something that only the GA dialect has."""


class CallsNotServed(NotFound):
    """Calls need a media server, which this is not."""

    code = "calls_not_served"

    def __init__(self) -> None:
        super().__init__("WebRTC and SIP calls are not served here. Connect to /v1/realtime with a WebSocket instead.")


@dataclass(frozen=True)
class Asked:
    """The session that a URL asks for. `intent` is what the client names so, `model` may be a deployment."""

    model: str | None
    transcription: bool
    dialect: Dialect
    subprotocol: str | None


def read_upgrade(
    query: Mapping[str, str], headers: Headers, subprotocols: Iterable[str], *, preview: bool, beta_served: bool = True
) -> Asked:
    """Return what a conversation's URL and headers ask for; `preview` is Azure's URL of the beta.

    Raises `CallsNotServed` for the sideband of a call, `InvalidValue` for an intent that there is not.
    """
    if query.get("call_id"):
        raise CallsNotServed
    intent = query.get("intent") or "conversation"
    if intent not in ("conversation", "transcription"):
        raise InvalidValue(
            f"Invalid value: '{intent}'. Supported values are: 'conversation' and 'transcription'.", param="intent"
        )
    offered = list(subprotocols)
    return Asked(
        model=(query.get("deployment") if preview else None) or query.get("model") or None,
        transcription=intent == "transcription",
        dialect=_dialect(headers, offered, preview=preview and beta_served),
        subprotocol=chosen_subprotocol(offered),
    )


def chosen_subprotocol(offered: Iterable[str]) -> str | None:
    """Return what to answer to the offered subprotocols: never the one that is a key."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def keys_of_upgrade(query_string: bytes, subprotocols: Iterable[str]) -> list[str]:
    """Return the keys that browsers, which cannot set headers, put into the URL or among the subprotocols."""
    keys = []
    for name, value in parse_qsl(query_string.decode("latin-1")):
        if name.lower() == "api-key":
            keys.append(value)
        elif name.lower() == "authorization":
            scheme, _, token = value.partition(" ")
            keys.append(token.strip() if scheme.lower() == "bearer" else "")
    keys += [offer.removeprefix(_KEY_SUBPROTOCOL) for offer in subprotocols if offer.startswith(_KEY_SUBPROTOCOL)]
    return [key for key in keys if key]


def without_keys(query_string: bytes) -> bytes:
    """Return a query as it may be seen and logged."""
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name.lower() not in _KEY_PARAMETERS]
    return query_string if len(kept) == len(pairs) else urlencode(kept).encode()


def need_model(model: str | None) -> str:
    """Return the model that a URL has to name. Raises `MissingParameter`."""
    if model is None:
        raise MissingParameter("You must provide a model parameter, as in ?model=gpt-realtime.", param="model")
    return model


def _dialect(headers: Headers, offered: list[str], *, preview: bool) -> Dialect:
    features = [feature.strip() for value in headers.getlist("openai-beta") for feature in value.split(",")]
    if _BETA_FEATURE in features or _BETA_SUBPROTOCOL in offered:
        return "beta"
    return "undecided" if preview else "ga"
