"""Registered receivers of events, each tenant's own."""

from __future__ import annotations

import asyncio
import secrets as randomness
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from antiphon.errors import InvalidValue, NotFound, Overloaded
from antiphon.schemas import JOB_EVENTS, Schema
from antiphon.webhooks.circuits import Circuits
from antiphon.webhooks.log import DeliveryLog
from antiphon.webhooks.signing import hint_of, key_of, new_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from antiphon.bus import Bus

Dialect = Literal["standard", "azure"]
"""`standard` is Standard Webhooks with the events of jobs, `azure` that of Azure AI Speech with those of batches."""

AZURE_EVENTS = (
    "transcriptionCreation",
    "transcriptionProcessing",
    "transcriptionCompletion",
    "transcriptionDeletion",
    "ping",
    "challenge",
)

EVENT_TYPES: dict[Dialect, tuple[str, ...]] = {"standard": JOB_EVENTS, "azure": AZURE_EVENTS}
"""What an endpoint of each dialect may ask for."""

MAX_ENDPOINTS = 100
"""Per tenant."""

OLD_SECRET = timedelta(hours=24)
"""How long a secret stays valid after its rotation, when it is to."""

_EDIT = timedelta(seconds=5)
_EDIT_PAUSE_S = 0.02


class Endpoint(Schema):
    """A registered receiver. Holds secrets: show `signing_secret_hint`, never the whole."""

    id: str = Field(description="`whe_` and 32 hex digits")
    tenant: str
    name: str
    url: str
    event_types: tuple[str, ...]
    dialect: Dialect = "standard"
    created_at: int = Field(description="epoch seconds")
    updated_at: int = Field(description="epoch seconds; of its settings or its secret")
    secret: str | None = Field(default=None, repr=False, description="absent only where the dialect allows it")
    previous_secret: str | None = Field(default=None, repr=False)
    previous_until_ms: int = Field(default=0, description="epoch milliseconds until which the previous secret is valid")
    enabled: bool = True
    disabled_reason: str | None = None
    validated: bool = Field(default=True, description="an `azure` endpoint gets events once it has met its challenge")
    definition: dict[str, Any] = Field(default_factory=dict, description="what its dialect keeps besides, as it came")

    @property
    def signing_secret_hint(self) -> str | None:
        """The last four characters of the secret."""
        return None if self.secret is None else hint_of(self.secret)

    def secrets(self, now_ms: int) -> tuple[str, ...]:
        """Return the secrets that are valid, the newest first."""
        valid = [self.secret] if self.secret else []
        if self.previous_secret and now_ms < self.previous_until_ms:
            valid.append(self.previous_secret)
        return tuple(valid)

    def wants(self, event_type: str) -> bool:
        """Tell whether events of this type are to be sent here."""
        return self.enabled and self.validated and event_type in self.event_types


class CheckUrl(Protocol):
    """`Egress.check_url`, or that of its rules."""

    def __call__(self, url: str, *, param: str | None = None) -> object:
        """Raise `InvalidValue` for an address that no delivery could go to."""
        ...


class Endpoints:
    """The registry of receivers. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, bus: Bus, *, check_url: CheckUrl) -> None:
        self._bus = bus
        self._registry = bus.registry("endpoints")
        self._circuits = Circuits(bus.values)
        self._log = DeliveryLog(bus)
        self._check_url = check_url

    async def create(
        self,
        tenant: str,
        *,
        name: str,
        url: str,
        event_types: Sequence[str],
        dialect: Dialect = "standard",
        secret: str | None = None,
        definition: dict[str, Any] | None = None,
    ) -> Endpoint:
        """Register a receiver. A standard one without a secret gets a new one.

        An `azure` one is not validated yet: send it a challenge (`Deliveries.challenge`). Raises `InvalidValue`, also
        when the tenant has 100 already.
        """
        self._check_url(url, param="url")
        if secret is None and dialect == "standard":
            secret = new_secret()
        _check_secret(secret, dialect)
        now_s = self._bus.now_ms() // 1000
        endpoint = Endpoint(
            id=f"whe_{randomness.token_hex(16)}",
            tenant=tenant,
            name=name,
            url=url,
            event_types=_checked(event_types, dialect),
            dialect=dialect,
            created_at=now_s,
            updated_at=now_s,
            secret=secret,
            validated=dialect == "standard",
            definition=definition or {},
        )
        await self._put(endpoint, limit=MAX_ENDPOINTS)
        return endpoint

    async def find(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        """Return a receiver if it is there."""
        kept = await self._registry.get(tenant, endpoint_id)
        return None if kept is None else Endpoint.model_validate_json(kept)

    async def get(self, tenant: str, endpoint_id: str) -> Endpoint:
        """Return a receiver. Raises `NotFound`."""
        found = await self.find(tenant, endpoint_id)
        if found is None:
            raise _not_found(endpoint_id)
        return found

    async def update(
        self,
        tenant: str,
        endpoint_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        event_types: Sequence[str] | None = None,
        secret: str | None = None,
        definition: dict[str, Any] | None = None,
    ) -> Endpoint:
        """Change what is given. A new address of an `azure` endpoint is to be challenged anew.

        Raises `NotFound` or `InvalidValue`.
        """
        async with self._editing(tenant, endpoint_id) as endpoint:
            _check_secret(secret, endpoint.dialect)
            given: dict[str, Any] = {"name": name, "url": url, "secret": secret, "definition": definition}
            if event_types is not None:
                given["event_types"] = _checked(event_types, endpoint.dialect)
            changes = {key: new for key, new in given.items() if new is not None and new != getattr(endpoint, key)}
            if not changes:
                return endpoint
            if "url" in changes:
                self._check_url(changes["url"], param="url")
                changes["validated"] = endpoint.dialect == "standard"
                await self._circuits.drop(endpoint.id)
            changed = endpoint.model_copy(update=changes | {"updated_at": self._bus.now_ms() // 1000})
            await self._put(changed)
            return changed

    async def rotate(self, tenant: str, endpoint_id: str, *, keep_old: bool) -> Endpoint:
        """Give a receiver a new secret. With `keep_old`, deliveries carry both signatures for 24 hours.

        Raises `NotFound`.
        """
        async with self._editing(tenant, endpoint_id) as endpoint:
            now_ms = self._bus.now_ms()
            changed = endpoint.model_copy(
                update={
                    "secret": new_secret(),
                    "previous_secret": endpoint.secret if keep_old else None,
                    "previous_until_ms": now_ms + int(OLD_SECRET.total_seconds() * 1000) if keep_old else 0,
                    "updated_at": now_ms // 1000,
                }
            )
            await self._put(changed)
            return changed

    async def enable(self, tenant: str, endpoint_id: str) -> Endpoint:
        """Send events again from now on, and forget past failures. Raises `NotFound`."""
        async with self._editing(tenant, endpoint_id) as endpoint:
            await self._circuits.drop(endpoint_id)
            return await self._switch(endpoint, enabled=True, reason=None)

    async def disable(self, tenant: str, endpoint_id: str, *, reason: str) -> Endpoint:
        """Send nothing more; what is under way ends without another attempt. Raises `NotFound`."""
        async with self._editing(tenant, endpoint_id) as endpoint:
            return await self._switch(endpoint, enabled=False, reason=reason)

    async def validate(self, tenant: str, endpoint_id: str) -> Endpoint:
        """Note that an `azure` endpoint has met its challenge. Raises `NotFound`."""
        async with self._editing(tenant, endpoint_id) as endpoint:
            changed = endpoint.model_copy(update={"validated": True})
            await self._put(changed)
            return changed

    async def delete(self, tenant: str, endpoint_id: str) -> None:
        """Forget a receiver and its log; what is under way ends without another attempt. Raises `NotFound`."""
        async with self._editing(tenant, endpoint_id):
            await self._registry.drop(tenant, endpoint_id)
            await self._circuits.drop(endpoint_id)
            await self._log.drop(endpoint_id)

    async def list(self, tenant: str, *, dialect: Dialect | None = None) -> tuple[Endpoint, ...]:
        """Return a tenant's receivers, the oldest first."""
        kept = (await self._registry.all(tenant)).values()
        endpoints = [Endpoint.model_validate_json(data) for data in kept]
        chosen = [endpoint for endpoint in endpoints if dialect in (None, endpoint.dialect)]
        return tuple(sorted(chosen, key=lambda endpoint: (endpoint.created_at, endpoint.id)))

    async def _switch(self, endpoint: Endpoint, *, enabled: bool, reason: str | None) -> Endpoint:
        changed = endpoint.model_copy(
            update={"enabled": enabled, "disabled_reason": reason, "updated_at": self._bus.now_ms() // 1000}
        )
        await self._put(changed)
        return changed

    async def _put(self, endpoint: Endpoint, *, limit: int | None = None) -> None:
        await self._registry.put(endpoint.tenant, endpoint.id, endpoint.model_dump_json().encode(), limit=limit)

    @asynccontextmanager
    async def _editing(self, tenant: str, endpoint_id: str) -> AsyncIterator[Endpoint]:
        """Hold an endpoint alone: a rotation must not be undone by a service that disables it at the same moment."""
        key = f"webhook-edit:{endpoint_id}"
        tries = int(_EDIT.total_seconds() / _EDIT_PAUSE_S)
        while not await self._bus.values.claim(key, _EDIT):
            tries -= 1
            if tries < 0:
                raise Overloaded("The webhook endpoint is being changed. Please try again shortly.", retry_after_s=1.0)
            await asyncio.sleep(_EDIT_PAUSE_S)
        try:
            yield await self.get(tenant, endpoint_id)
        finally:
            await self._bus.values.drop(key)


def _checked(event_types: Sequence[str], dialect: Dialect) -> tuple[str, ...]:
    known = EVENT_TYPES[dialect]
    unknown = [name for name in event_types if name not in known]
    if unknown or not event_types:
        raise InvalidValue(
            f"Invalid value for 'event_types': expected some of {', '.join(known)}"
            + (f", but got '{unknown[0][:64]}'." if unknown else "."),
            param="event_types",
        )
    return tuple(dict.fromkeys(event_types))


def _check_secret(secret: str | None, dialect: Dialect) -> None:
    if secret is not None and dialect == "standard":
        key_of(secret)


def _not_found(endpoint_id: str) -> NotFound:
    return NotFound(f"No webhook endpoint found with id '{endpoint_id[:64]}'.", param="id")
