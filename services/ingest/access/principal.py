"""Who is calling, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from antiphon.bus import Limits
from antiphon.schemas import Meter, Priority
from services.ingest.realtime.secrets import Pinned

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from antiphon.calling import Desk
    from antiphon.keys import KeyRecord


@dataclass(frozen=True)
class Grant:
    """What a caller may do: everything, unless a key says otherwise."""

    account: str = ""
    """Who shares the limits."""
    limits: Limits = field(default_factory=Limits)
    ceiling: Priority = "hi"
    models: tuple[str, ...] = ()
    """Patterns of the models that may be named; none: any."""
    key: str | None = None
    """Id of the key that says so."""
    name: str = ""
    """What its operator calls it."""

    @classmethod
    def of(cls, record: KeyRecord, *, account: str | None = None) -> Grant:
        """Return what a key allows; `account` is who shares its limits if not all who use it."""
        return cls(
            account=account or record.id,
            limits=record.limits,
            ceiling=record.priority,
            models=record.models,
            key=record.id,
            name=record.name,
        )

    @property
    def meter(self) -> Meter | None:
        """What audio is counted against, if it is."""
        seconds = self.limits.audio_seconds_per_minute
        return Meter(account=self.account, seconds_per_minute=seconds) if seconds else None

    def at(self, desk: Desk) -> Desk:
        """Return the desk at which work is done on these terms."""
        return replace(desk, ceiling=self.ceiling, meter=self.meter)


@dataclass(frozen=True)
class Principal:
    """Who is calling."""

    tenant: str
    pinned: Pinned | None = None
    """The session that a client secret is good for, and nothing else."""
    grant: Grant = field(default_factory=Grant)


def principal_of(connection: HTTPConnection) -> Principal:
    """Return who is calling."""
    principal: Principal = connection.scope["principal"]
    return principal


def tenant_of(connection: HTTPConnection) -> str:
    """Return whose key came with a request."""
    return principal_of(connection).tenant


def grant_of(connection: HTTPConnection) -> Grant:
    """Return what the key of a request allows."""
    return principal_of(connection).grant
