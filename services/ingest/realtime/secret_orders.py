"""Requests for client secrets, in the three shapes that there are, and what they are answered with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from antiphon.errors import InvalidRequest, InvalidValue
from antiphon.realtime.beta import BetaDialect
from antiphon.realtime.refusals import RealtimeRefusal
from antiphon.realtime.session_object import shown_session
from services.ingest.access.principal import Principal
from services.ingest.realtime.live import new_session_id
from services.ingest.realtime.secrets import ClientSecrets, Pinned
from services.ingest.realtime.sessions import Sessions

_TTL = timedelta(minutes=10)
_BETA_TTL = timedelta(minutes=1)
_SHORTEST_S, _LONGEST_S = 10, 7200


@dataclass(frozen=True)
class SecretOrders:
    """Makes client secrets to order. Every method raises `InvalidRequest`, `ModelNotFound`, `Unavailable`."""

    sessions: Sessions
    secrets: ClientSecrets
    beta_served: bool

    async def ga(self, body: Mapping[str, Any], *, principal: Principal, translation: bool = False) -> dict[str, Any]:
        """Answer a request for a secret: `expires_after`, `session`, `locked`."""
        ttl = _ttl_of(body, default=_TTL)
        locked = _flag(body, "locked")
        wanted = _object(body, "session")
        sessions = self.sessions.within(principal.grant.models)
        make = sessions.configured_translation if translation else sessions.configured
        session = make(wanted, session_id=new_session_id())
        issued = await self.secrets.issue(_pinned(principal, session, locked=locked), ttl)
        return {"value": issued.value, "expires_at": issued.expires_at, "session": shown_session(session)}

    async def beta(
        self, body: Mapping[str, Any], *, principal: Principal, transcription: bool = False
    ) -> dict[str, Any]:
        """Answer a request of the beta, whose body is the session; what comes back holds the secret."""
        if not self.beta_served:
            raise RealtimeRefusal(
                "The Realtime Beta API is no longer supported. Please use /v1/realtime/client_secrets instead.",
                code="beta_api_shape_disabled",
            )
        ttl = _ttl_of(_object(body, "client_secret"), default=_BETA_TTL, within="client_secret.")
        locked = _flag(body, "locked")
        flat = {name: value for name, value in body.items() if name not in ("client_secret", "locked")}
        beta = BetaDialect(kind="transcription" if transcription else "realtime")
        try:
            wanted = beta.to_ga({"type": "session.update", "session": flat})["session"]
            session = self.sessions.within(principal.grant.models).configured(wanted, session_id=new_session_id())
        except InvalidRequest as refusal:
            raise _flat_refusal(refusal, beta) from None
        issued = await self.secrets.issue(_pinned(principal, session, locked=locked), ttl)
        (shown,) = beta.from_ga({"type": "session.updated", "session": shown_session(session)})
        return {**shown["session"], "client_secret": {"value": issued.value, "expires_at": issued.expires_at}}


def _pinned(principal: Principal, session: dict[str, Any], *, locked: bool) -> Pinned:
    """Return what a secret stands for: a session on the terms of who had it made."""
    grant = principal.grant
    account = grant.account if grant.key and grant.account != grant.key else None
    return Pinned(principal.tenant, session, locked, key=grant.key, account=account)


def _flat_refusal(refusal: InvalidRequest, beta: BetaDialect) -> RealtimeRefusal:
    """Return a refusal that names the members of a body which is itself the session."""
    error = {"message": refusal.message, "param": refusal.param}
    (told,) = beta.from_ga({"type": "error", "error": error})
    message = told["error"]["message"].replace("'session.", "'")
    param = told["error"]["param"]
    return RealtimeRefusal(
        message, code=refusal.code, param=None if param is None else param.removeprefix("session."), type=refusal.type
    )


def _ttl_of(body: Mapping[str, Any], *, default: timedelta, within: str = "") -> timedelta:
    """Return how long a secret is to be good for, by the member `expires_after`."""
    expires_after = _object(body, "expires_after", within=within)
    param = f"{within}expires_after"
    if expires_after.get("anchor", "created_at") != "created_at":
        raise InvalidValue(f"Invalid '{param}.anchor': the only one is 'created_at'.", param=f"{param}.anchor")
    seconds = expires_after.get("seconds")
    if seconds is None:
        return default
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise InvalidValue(
            f"Invalid '{param}.seconds': expected an integer from {_SHORTEST_S} to {_LONGEST_S}.",
            param=f"{param}.seconds",
        )
    return timedelta(seconds=seconds)


def _object(body: Mapping[str, Any], name: str, *, within: str = "") -> Mapping[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidValue(f"Invalid type for '{within}{name}': expected an object.", param=f"{within}{name}")
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidValue(f"Invalid type for '{name}': expected a boolean.", param=name)
    return value
