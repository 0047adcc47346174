"""A `realtime` job: one live session, held by this worker until it ends or another worker takes it over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

from opentelemetry import trace

from antiphon.bus import HeldSession, Postponed, SessionHost, SessionLost, Work
from antiphon.calling import Desk
from antiphon.errors import AntiphonError, Unavailable
from antiphon.schemas import RealtimeJob, SessionEnd
from antiphon.telemetry.instruments import SESSIONS, SESSIONS_TAKEN_OVER
from services.realtime.driver.drive import Drive
from services.realtime.driver.ear import Ear, Listener
from services.realtime.driver.hands import Judge, Tools
from services.realtime.driver.kept_audio import KeptAudio
from services.realtime.driver.record import FIELD, Record
from services.realtime.driver.turn_watch import TurnWatch
from services.realtime.installation import Installation
from services.realtime.interpreting.interpreter import item_of
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import Began, Resumed
from services.realtime.session.machine import Machine

logger = logging.getLogger(__name__)

_AGAIN_S = 0.2
"""How soon a session is taken up again after the bus was away."""
_MOST_CRASHES = 5
"""Workers in a row that may die of a session before it is ended."""
_KEPT = timedelta(hours=2)
"""How long the audio of items is kept after the last of it, should nobody live to delete it."""


class Ears(Judge, Protocol):
    """The part of the ears that is needed here."""

    def listener(self) -> Listener:
        """Return the listener of a session."""
        ...


class MachineKind(Protocol):
    """Makes the machines of one type of session."""

    def new(self, job: RealtimeJob, facts: Facts, *, now_ms: int) -> Machine:
        """Return the machine of a new session."""
        ...

    def load(self, snapshot: Mapping[str, bytes], facts: Facts) -> Machine:
        """Return the machine that a snapshot holds."""
        ...


Machines = Mapping[str, MachineKind]
"""By the `type` of session objects."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Handles `realtime` jobs.

    A session whose worker is told to stop, or has lost it, is left as it is, jobs and all, for whoever has it next. One
    that ends leaves nothing. It ends with its client, too: when the door says so, or when the door itself is gone.
    """

    host: SessionHost
    desk: Desk
    ears: Ears
    tools: Tools
    installation: Installation
    machines: Machines
    kept_audio_bytes: int

    async def __call__(self, job: RealtimeJob, work: Work) -> SessionEnd:
        """Hold the session to its end. Raises `Postponed` when the bus is away; that is no attempt."""
        about = {"gen_ai.conversation.id": job.id, "antiphon.session.type": job.session["type"]}
        trace.get_current_span().set_attributes(about)
        try:
            held = await self.host.take(job.id)
            try:
                with SESSIONS.labels(job.session["type"]).track_inprogress():
                    return await self._hold(held, job, work)
            finally:
                held.release()
        except SessionLost as lost:
            work.stop(lost)
            raise
        except Unavailable as error:
            logger.warning("the bus is away", extra={"session": job.id, "cause": error.message})
            raise Postponed(_AGAIN_S) from error

    async def _hold(self, held: HeldSession, job: RealtimeJob, work: Work) -> SessionEnd:
        if held.over:
            return SessionEnd(reason="over", duration_s=0.0)
        if held.snapshot:
            SESSIONS_TAKEN_OVER.inc()
        record = Record.read(held.snapshot) if FIELD in held.snapshot else Record(began_ms=self.desk.bus.now_ms())
        ear = Ear(self.ears.listener())
        kept = KeptAudio(self.desk.bus.values, job.id, limit_bytes=self.kept_audio_bytes, ttl=_KEPT).read(held.snapshot)
        drive = Drive(
            held,
            ear=ear,
            kept=kept,
            record=record,
            tenant=job.tenant,
            attempt=work.attempt,
            # The turns of a session come in at the priority that it has itself.
            desk=replace(self.desk, ceiling=work.priority),
            judge=self.ears,
            tools=self.tools,
            watch=TurnWatch(job.id, item_of=item_of if job.session["type"] == "translation" else None),
        )
        if record.ended is not None:
            return await drive.leave()
        if work.attempt - record.steady > _MOST_CRASHES:
            logger.error("a session ends that no worker survives", extra={"session": job.id})
            return await drive.fail("The session was ended by a fault of the server.")
        try:
            machine = await self._machine(held, job, ear, record)
            return await drive.run(machine, Resumed() if held.snapshot else Began())
        except asyncio.CancelledError:
            if isinstance(reason := work.reason, AntiphonError):
                # Not here: whoever cancels may do so again and again.
                self.desk.aftercare.adopt(self._dismiss(drive, reason))
            raise
        except (SessionLost, Unavailable):
            raise
        except Exception as error:
            logger.exception("a session failed", extra={"session": job.id})
            message = error.message if isinstance(error, AntiphonError) else "The session failed inside the server."
            return await drive.fail(message)

    async def _machine(self, held: HeldSession, job: RealtimeJob, ear: Ear, record: Record) -> Machine:
        facts = self.installation.facts(job)
        kind = self.machines[job.session["type"]]
        if not held.snapshot:
            return kind.new(job, facts, now_ms=self.desk.bus.now_ms())
        heard: dict[str, Any] = record.ear
        entries = []
        if heard["first"] is not None:
            entries = await held.recall(heard["first"].encode(), record.entry.encode())
        await ear.catch_up(heard, entries)
        return kind.load(held.snapshot, facts)

    async def _dismiss(self, drive: Drive, reason: AntiphonError) -> None:
        try:
            await drive.fail(reason.message)
        except (SessionLost, Unavailable) as error:
            logger.warning("a session could not be ended", extra={"cause": str(error)})
