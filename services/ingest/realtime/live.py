"""The sessions whose sockets are at this process."""

from __future__ import annotations

import secrets
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from antiphon.bus import Bus, Call, Caller, SessionDoor, SessionLine
from antiphon.calling import Aftercare
from antiphon.errors import AntiphonError, Overloaded, Unavailable
from antiphon.schemas import RealtimeJob
from antiphon.telemetry.instruments import SOCKETS
from services.ingest.access.principal import Grant
from services.ingest.realtime.settings import RealtimeSettings

_LETTERS = string.digits + string.ascii_letters
_ID_LETTERS = 21
_FULL_RETRY_S = 5.0
_NO_WORKER_RETRY_S = 5.0
_JOB_MARGIN_S = 60.0
"""How long after its session's end a job may still have something to do."""


def new_session_id() -> str:
    """Return an id for a session."""
    return "sess_" + "".join(secrets.choice(_LETTERS) for _ in range(_ID_LETTERS))


@dataclass(frozen=True)
class LiveSession:
    """A session that is on its lane."""

    id: str
    line: SessionLine
    call: Call


class LiveSessions:
    """Begins sessions and sees them off, as many at a time as the settings allow."""

    def __init__(
        self, *, door: SessionDoor, bus: Bus, caller: Caller, aftercare: Aftercare, settings: RealtimeSettings
    ) -> None:
        self._door = door
        self._bus = bus
        self._caller = caller
        self._aftercare = aftercare
        self._settings = settings
        self._count = 0

    @asynccontextmanager
    async def begin(
        self,
        session: dict[str, Any],
        *,
        tenant: str,
        locked: bool = False,
        grant: Grant = Grant(),  # noqa: B008 - frozen
    ) -> AsyncIterator[LiveSession]:
        """Have a worker hold a session, which is over for its client when the block is left.

        Raises `Overloaded` when this process or the lane is full, `Unavailable` when there is no worker or no bus.
        """
        if self._count >= self._settings.realtime_sessions:
            raise Overloaded("This server holds as many live sessions as it may.", retry_after_s=_FULL_RETRY_S)
        self._count += 1
        SOCKETS.inc()
        try:
            if not await self._bus.attended("realtime"):
                raise Unavailable("No worker for live sessions is running.", retry_after_s=_NO_WORKER_RETRY_S)
            job = RealtimeJob(id=session["id"], tenant=tenant, session=session, locked=locked, models=grant.models)
            limit_s = self._settings.realtime_limit.total_seconds()
            call = await self._caller.submit(job, priority=grant.ceiling, expires_in_s=limit_s + _JOB_MARGIN_S)
            line = self._door.open(job.id)
            try:
                yield LiveSession(job.id, line, call)
            finally:
                call.abandon()
                # Whatever ended it, even a cancellation, its worker hears of it.
                self._aftercare.adopt(_leave(line))
        finally:
            self._count -= 1
            SOCKETS.dec()


async def _leave(line: SessionLine) -> None:
    try:
        await line.close("the client has left")
    except AntiphonError:
        # The session ends with the silence of its client then.
        return
