"""The keys of an installation, on the bus."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from antiphon.bus import Limits
from antiphon.errors import InvalidValue, NotFound, Overloaded
from antiphon.keys.records import Grace, KeyRecord
from antiphon.keys.secrets import digest_of, new_key

if TYPE_CHECKING:
    from antiphon.bus import Bus, Registry
    from antiphon.schemas import Priority

FORGOTTEN_AFTER = timedelta(days=30)
"""How long a key that has ended can still be looked at."""

_OWNER = "all"
_TENANT = re.compile(r"[A-Za-z0-9_.@-]{1,100}")
_MODEL = re.compile(r"[^\s,]{1,200}")
_LONGEST_NAME = 100
_EDIT = timedelta(seconds=5)
_EDIT_PAUSE_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to be different about a key; None leaves it as it is."""

    name: str | None = None
    tenant: str | None = None
    limits: Limits | None = None
    priority: Priority | None = None
    models: tuple[str, ...] | None = None


class Keys:
    """Makes keys, and finds them by what is kept of them. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def create(
        self,
        *,
        name: str,
        tenant: str | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        priority: Priority = "hi",
        models: tuple[str, ...] = (),
        expires_at: int | None = None,
    ) -> tuple[KeyRecord, str]:
        """Make a key; return what is kept of it, and the key itself, which nobody can tell again.

        Without a `tenant` it is one of its own. Raises `InvalidValue`.
        """
        await self._forget_old()
        key, key_id = new_key(), f"key_{secrets.token_hex(8)}"
        record = KeyRecord(
            id=key_id,
            digest=digest_of(key),
            hint=key[-4:],
            name=_checked_name(name),
            tenant=_checked_tenant(tenant or key_id),
            limits=limits,
            priority=priority,
            models=_checked_models(models),
            created_at=self._now_s(),
            expires_at=expires_at,
        )
        if expires_at is not None and expires_at <= record.created_at:
            raise InvalidValue("A key must expire later than now.", param="expires_at")
        await self._index(record.digest, record.id)
        await self._put(record)
        return record, key

    async def find(self, digest: str) -> KeyRecord | None:
        """Return the record that a digest leads to; whether it opens is for the record to say."""
        key_id = await self._digests.get(_OWNER, digest)
        return None if key_id is None else await self.look_up(key_id.decode())

    async def look_up(self, key_id: str) -> KeyRecord | None:
        """Return the record of a key."""
        kept = await self._records.get(_OWNER, key_id)
        return None if kept is None else KeyRecord.model_validate_json(kept)

    async def get(self, named: str) -> KeyRecord:
        """Return the record of a key by its id, or by its name if only one that has not ended has it.

        Raises `NotFound`, `InvalidValue`.
        """
        record = await self.look_up(named)
        if record is not None:
            return record
        now_s = self._now_s()
        fitting = [each for each in await self.list() if each.name == named and each.state(now_s) == "active"]
        if len(fitting) > 1:
            raise InvalidValue(f"There are {len(fitting)} keys with the name {named!r}: name one by its id.")
        if not fitting:
            raise NotFound(f"There is no key {named!r}.")
        return fitting[0]

    async def list(self) -> list[KeyRecord]:
        """Return all records, the oldest first."""
        kept = (await self._records.all(_OWNER)).values()
        records = [KeyRecord.model_validate_json(data) for data in kept]
        return sorted(records, key=lambda record: (record.created_at, record.id))

    async def any_opens(self) -> bool:
        """Tell whether there is a key that lets anybody in."""
        now_s = self._now_s()
        return any(record.state(now_s) == "active" for record in await self.list())

    async def update(self, key_id: str, changes: Changes) -> KeyRecord:
        """Change what a key may do. Raises `NotFound`, `InvalidValue`."""
        given: dict[str, Any] = {name: value for name, value in vars(changes).items() if value is not None}
        if "name" in given:
            given["name"] = _checked_name(given["name"])
        if "tenant" in given:
            given["tenant"] = _checked_tenant(given["tenant"])
        if "models" in given:
            given["models"] = _checked_models(given["models"])
        async with self._editing(key_id) as record:
            return await self._put(record.model_copy(update=given))

    async def rotate(self, key_id: str, *, grace: timedelta) -> tuple[KeyRecord, str]:
        """Replace a key under its id; the old one opens for `grace` longer. Raises `NotFound`, `InvalidValue`."""
        async with self._editing(key_id) as record:
            if record.state(self._now_s()) != "active":
                raise InvalidValue(f"The key {key_id} has ended: make a new one.")
            key = new_key()
            until = self._now_s() + int(grace.total_seconds())
            previous = Grace(digest=record.digest, until=until) if grace else None
            changed = record.model_copy(update={"digest": digest_of(key), "hint": key[-4:], "previous": previous})
            await self._index(changed.digest, key_id)
            await self._put(changed)
            gone = [record.previous.digest] if record.previous else []
            await self._unindex(*gone, *([] if grace else [record.digest]))
            return changed, key

    async def revoke(self, key_id: str) -> KeyRecord:
        """Let a key, and the one that it replaced, open no more. Raises `NotFound`."""
        async with self._editing(key_id) as record:
            if record.revoked_at is not None:
                return record
            revoked = await self._put(record.model_copy(update={"revoked_at": self._now_s(), "previous": None}))
            await self._unindex(record.digest, *([record.previous.digest] if record.previous else []))
            return revoked

    def note_use(self, key_id: str) -> None:
        """Keep the moment as that at which a key was last used. It may be lost."""
        self._uses.note(_OWNER, key_id, str(self._now_s()).encode())

    async def uses(self) -> dict[str, int]:
        """Return when keys were last used, by id, in epoch seconds."""
        return {key_id: int(at) for key_id, at in (await self._uses.all(_OWNER)).items()}

    @property
    def _records(self) -> Registry:
        return self._bus.registry("keys")

    @property
    def _digests(self) -> Registry:
        return self._bus.registry("key_digests")

    @property
    def _uses(self) -> Registry:
        return self._bus.registry("key_uses")

    def _now_s(self) -> int:
        return self._bus.now_ms() // 1000

    async def _put(self, record: KeyRecord) -> KeyRecord:
        await self._records.put(_OWNER, record.id, record.model_dump_json().encode())
        return record

    async def _index(self, digest: str, key_id: str) -> None:
        await self._digests.put(_OWNER, digest, key_id.encode())

    async def _unindex(self, *digests: str) -> None:
        for digest in digests:
            await self._digests.drop(_OWNER, digest)

    async def _forget_old(self) -> None:
        """Forget keys that ended long ago."""
        long_ago_s = self._now_s() - int(FORGOTTEN_AFTER.total_seconds())
        for record in await self.list():
            ended_at = record.ended_at()
            if ended_at is not None and ended_at < long_ago_s:
                await self._unindex(record.digest, *([record.previous.digest] if record.previous else []))
                await self._uses.drop(_OWNER, record.id)
                await self._records.drop(_OWNER, record.id)

    @asynccontextmanager
    async def _editing(self, key_id: str) -> AsyncIterator[KeyRecord]:
        """Hold a record alone: a revocation must not be undone by a change at the same moment."""
        mark = f"key-edit:{key_id}"
        tries = int(_EDIT.total_seconds() / _EDIT_PAUSE_S)
        while not await self._bus.values.claim(mark, _EDIT):
            tries -= 1
            if tries < 0:
                raise Overloaded("The key is being changed. Please try again shortly.", retry_after_s=1.0)
            await asyncio.sleep(_EDIT_PAUSE_S)
        try:
            record = await self.look_up(key_id)
            if record is None:
                raise NotFound(f"There is no key {key_id!r}.")
            yield record
        finally:
            await self._bus.values.drop(mark)


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidValue(f"A key's name has 1 to {_LONGEST_NAME} printable characters.", param="name")
    return name


def _checked_tenant(tenant: str) -> str:
    if not _TENANT.fullmatch(tenant):
        raise InvalidValue("A tenant's name has 1 to 100 letters, digits and _.@-", param="tenant")
    return tenant


def _checked_models(models: tuple[str, ...]) -> tuple[str, ...]:
    if any(not _MODEL.fullmatch(pattern) for pattern in models):
        raise InvalidValue("A pattern of models has 1 to 200 characters, and no spaces.", param="models")
    return tuple(dict.fromkeys(models))
