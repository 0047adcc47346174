"""Who is let in: by the operator's own keys, by keys made with `antiphon keys`, by tokens, by client secrets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from antiphon.errors import InvalidApiKey, InvalidValue, Unavailable
from antiphon.keys import Keys
from services.ingest.access.keyring import Keyring
from services.ingest.access.known_keys import KnownKeys
from services.ingest.access.principal import Grant, Principal
from services.ingest.access.refusals import unknown_key
from services.ingest.access.tokens import Tokens, is_token
from services.ingest.realtime.secrets import Pinned

FindSecret = Callable[[str], Awaitable[Pinned | None]]


class Doorkeeper:
    """Knows callers by what they carry. The operator's own keys and tokens ask nobody else."""

    def __init__(
        self, keyring: Keyring, known_keys: KnownKeys, tokens: Tokens | None, *, find_secret: FindSecret
    ) -> None:
        self._keyring = keyring
        self._known_keys = known_keys
        self._tokens = tokens
        self._find_secret = find_secret

    async def let_in(self, keys: list[str], *, secrets: bool) -> Principal:
        """Return who comes with these keys; with `secrets`, client secrets of live sessions are keys as well.

        Raises `InvalidApiKey`, `Forbidden`, and `Unavailable` where only the bus could tell.
        """
        for key in keys:
            if principal := self._keyring.find(key):
                return principal
        refusal: InvalidApiKey | None = None
        for key in keys:
            if self._tokens is not None and is_token(key):
                try:
                    return await self._tokens.verify(key)
                except InvalidApiKey as error:
                    refusal = error
            elif record := await self._known_keys.find(key):
                return Principal(tenant=record.tenant, grant=Grant.of(record))
        for key in keys if secrets else ():
            if pinned := await self._find_secret(key):
                return await self._of_secret(pinned)
        raise refusal or unknown_key(keys)

    async def _of_secret(self, pinned: Pinned) -> Principal:
        """Return who comes with a client secret: on the terms of the key that made it, as they are now."""
        principal = Principal(pinned.tenant, pinned)
        if pinned.key is None:
            return principal
        record = await self._known_keys.get(pinned.key)
        if record is None:
            raise InvalidApiKey("The key that made this client secret has been revoked or has expired.")
        return replace(principal, grant=Grant.of(record, account=pinned.account))


async def require_somebody(keyring: Keyring, keys: Keys, tokens: Tokens | None) -> None:
    """Raise `InvalidValue` when nobody could come in. A bus that is away is given the benefit of the doubt."""
    if keyring or tokens is not None:
        return
    try:
        if await keys.any_opens():
            return
    except Unavailable:
        return
    raise InvalidValue(
        "No API key is set: name at least one in ANTIPHON_API_KEYS, make one with `antiphon keys create`, "
        "or name an identity provider in ANTIPHON_OIDC_ISSUER."
    )
