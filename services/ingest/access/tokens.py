"""Bearer tokens of an identity provider, such as Entra: verified here, by its public keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from antiphon.errors import Forbidden
from services.ingest.access.known_keys import KnownKeys
from services.ingest.access.principal import Grant, Principal
from services.ingest.access.provider_keys import ProviderKeys
from services.ingest.access.refusals import InvalidToken
from services.ingest.access.settings import AccessSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures whose keys are public; a secret that both sides know has no place in a set of public keys."""

_SHAPE = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST = 16_384
_PLAIN = re.compile(r"[A-Za-z0-9_.@-]{1,100}")
_GRANTS = ("scp", "scope", "roles")
"""Claims that say what a token may do: words separated by spaces, or a list."""
_TIMEOUT_S = 5.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_token(key: str) -> bool:
    """Tell whether something looks like a signed token."""
    return len(key) <= _LONGEST and _SHAPE.fullmatch(key) is not None


class Tokens:
    """Tells whose a token is."""

    def __init__(self, settings: AccessSettings, keys: ProviderKeys, known_keys: KnownKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._known_keys = known_keys

    async def verify(self, token: str) -> Principal:
        """Return who sent a token. Raises `InvalidToken`, `Forbidden`, `Unavailable`."""
        claims = await self._claims(token)
        required = self._settings.oidc_require
        if required and not granted(claims) & set(required):
            raise Forbidden(
                f"The token has none of the scopes or roles that are required here: {', '.join(required)}.",
            )
        tenant = tenant_named(claims, self._settings.oidc_tenant_claim)
        return Principal(tenant=tenant, grant=await self._grant(tenant))

    async def _claims(self, token: str) -> Mapping[str, Any]:
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise InvalidToken("The token is signed in a way that is not accepted here.")
            key = await self._keys.find(header.get("kid"))
            if key is None:
                raise InvalidToken("The token is signed with a key that the identity provider does not publish.")
            if key.algorithm not in (None, algorithm):
                raise InvalidToken("The token is signed in another way than its key is for.")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=settings.oidc_audience,
                issuer=settings.oidc_issuer,
                leeway=settings.oidc_leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("The token has expired. Ask the identity provider for a new one.") from None
        except jwt.ImmatureSignatureError:
            raise InvalidToken("The token is not valid yet.") from None
        except jwt.InvalidAudienceError:
            raise InvalidToken(
                f"The token is for another audience; this platform is {' or '.join(settings.oidc_audience)}."
            ) from None
        except jwt.InvalidIssuerError:
            raise InvalidToken(f"The token is of another issuer than {settings.oidc_issuer}.") from None
        except jwt.MissingRequiredClaimError as error:
            raise InvalidToken(f"The token lacks the claim '{error.claim}'.") from None
        except jwt.InvalidSignatureError:
            raise InvalidToken("The signature of the token is not right.") from None
        except (jwt.PyJWTError, TypeError, ValueError):
            raise InvalidToken("The token is malformed.") from None
        return claims

    async def _grant(self, tenant: str) -> Grant:
        key_id = self._settings.oidc_limits_key
        if key_id is None:
            return Grant()
        record = await self._known_keys.get(key_id)
        if record is None:
            raise Forbidden("The key whose limits hold for tokens has been revoked, has expired, or is not known.")
        return Grant.of(record, account=account_of(record.id, tenant))


def account_of(key_id: str, tenant: str) -> str:
    """Return who shares the limits of a key with nobody but those of the same tenant."""
    return f"{key_id}/{hashlib.sha256(tenant.encode()).hexdigest()[:16]}"


def tenant_named(claims: Mapping[str, Any], claim: str) -> str:
    """Return whose token it is. The prefix keeps it apart from the tenants of keys. Raises `InvalidToken`."""
    named = claims.get(claim) or claims.get("sub")
    if not isinstance(named, str):
        raise InvalidToken(f"The token has neither the claim '{claim}' nor 'sub', which tell whose it is.")
    plain = named if _PLAIN.fullmatch(named) else hashlib.sha256(named.encode()).hexdigest()[:32]
    return f"oidc-{plain}"


def granted(claims: Mapping[str, Any]) -> set[str]:
    """Return the scopes and roles of a token."""
    found: set[str] = set()
    for name in _GRANTS:
        value = claims.get(name)
        words = value.split() if isinstance(value, str) else value
        if isinstance(words, list):
            found.update(word for word in words if isinstance(word, str))
    return found


@asynccontextmanager
async def open_tokens(settings: AccessSettings, known_keys: KnownKeys) -> AsyncIterator[Tokens | None]:
    """Open what verifies tokens; None where no identity provider is set."""
    if settings.oidc_issuer is None:
        yield None
        return
    url = settings.oidc_jwks_url or settings.oidc_issuer
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=urlsplit(url).hostname not in _LOOPBACK) as client:
        keys = ProviderKeys(
            client,
            issuer=settings.oidc_issuer,
            url=settings.oidc_jwks_url,
            ttl_s=settings.oidc_keys_ttl.total_seconds(),
        )
        yield Tokens(settings, keys, known_keys)
