"""One session in the hands of this worker: what happens goes to its machine, what comes of it is committed and done.

Everything that has piled up is given to the machine first and committed in one piece then; what the machine orders is
carried out after that commit, so that a successor finds it in the snapshot. What is heard in silence leads to nothing
that anybody could see: it is noted every two seconds, and a successor hears the rest again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from antiphon.bus import HeldSession, SessionInput
from antiphon.calling import Desk
from antiphon.errors import AntiphonError
from antiphon.failures import first_error
from antiphon.schemas import ErrorInfo, SessionEnd
from services.realtime.driver import kept_audio, record
from services.realtime.driver.ear import Ear
from services.realtime.driver.hands import Hands, Judge, Tools
from services.realtime.driver.inbox import Inbox
from services.realtime.driver.jobs import Errand, Jobs, News
from services.realtime.driver.kept_audio import KeptAudio
from services.realtime.driver.outgoing import Backlog, Outgoing, SentSound, server_error
from services.realtime.driver.record import Record
from services.realtime.driver.turn_watch import TurnWatch
from services.realtime.session.commands import Command, End, Listen
from services.realtime.session.happenings import (
    POSITIONS_PER_MS,
    Appended,
    AudioFound,
    Began,
    ClientEvent,
    ClientLeft,
    Happening,
    HeardMore,
    Judged,
    Refused,
    Resumed,
    SaidUpTo,
    Sounded,
    Spoke,
    Ticked,
    Wrote,
)
from services.realtime.session.machine import Machine

logger = logging.getLogger(__name__)

_NOTE_S = 2.0
"""Between two snapshots while nothing happens but that audio comes."""
_STEADY_S = 5.0
"""An attempt at a session that has lasted so long was not what ends its worker."""
_QUIET_S = 5.0
_SOONEST_S = 0.002
_MOST_FAULTS = 10
"""Faults of this server's own that one session may meet in one worker."""
_MOST_UNSENT_BYTES = 64_000_000
"""What may wait for a client that does not take it: more than 20 minutes of sound."""
_INTERNAL_ERROR, _TRY_LATER = 1011, 1013

_REPEATED = (Appended, Wrote, Spoke, Sounded, SaidUpTo, HeardMore, Judged, AudioFound, Ticked)
"""What a successor is told again. It need not be committed while it leads to nothing."""

Thing = list[SessionInput] | News | Happening


class Drive:
    """Drives one session until it ends, or until this worker has to let go of it."""

    def __init__(
        self,
        held: HeldSession,
        *,
        ear: Ear,
        kept: KeptAudio,
        record: Record,
        tenant: str,
        attempt: int,
        desk: Desk,
        judge: Judge,
        tools: Tools,
        watch: TurnWatch,
    ) -> None:
        self._held = held
        self._ear = ear
        self._kept = kept
        self._record = record
        self._tenant = tenant
        self._attempt = attempt
        self._desk = desk
        self._judge = judge
        self._tools = tools
        self._watch = watch
        self._now_ms: Callable[[], int] = desk.bus.now_ms
        self._loop = asyncio.get_running_loop()
        self._inbox: Inbox[Thing] = Inbox()
        self._jobs: Jobs | None = None
        self._outgoing = Outgoing()
        self._sounds: list[tuple[SentSound, int]] = []
        """Sound that is to be kept, and where in the audio of its part."""
        self._commands: list[Command] = []
        self._spent: list[Errand] = []
        """Errands whose end the next commit accounts for."""
        self._listens_anew = False
        self._must_write = False
        self._unwritten = False
        self._started_s = self._written_s = self._heard_s = self._loop.time()
        self._alarm: asyncio.TimerHandle | None = None
        self._backlog = Backlog()
        self._faults = 0

    async def run(self, machine: Machine, first: Began | Resumed) -> SessionEnd:
        """Drive until the session is over, and clean up after it. `first` is what happens to the machine first.

        Raises `SessionLost`, `Unavailable`. What is cancelled stops where it is: a successor goes on.
        """
        self._machine = machine
        steady = self._loop.call_later(_STEADY_S, self._note)
        try:
            async with asyncio.TaskGroup() as group:
                jobs = self._jobs = Jobs(self._desk, group, self._inbox.put)
                self._hands = Hands(
                    session_id=self._held.session_id,
                    tenant=self._tenant,
                    ear=self._ear,
                    kept=self._kept,
                    jobs=jobs,
                    judge=self._judge,
                    tools=self._tools,
                    group=group,
                    tell=self._inbox.put,
                )
                self._held.follow(self._record.entry.encode())
                reader = group.create_task(self._read())
                await self._live(first)
                reader.cancel()
                self._hands.rest()
                jobs.drop_all()
                jobs.cancel_dropped()
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
        finally:
            steady.cancel()
            self._watch.close()
            if self._alarm is not None:
                self._alarm.cancel()
        return await self.leave()

    async def fail(self, message: str) -> SessionEnd:
        """Tell the client that the session cannot go on, and end it. Raises as `run` does."""
        if self._jobs is not None:
            self._jobs.drop_all()
            self._jobs.cancel_dropped()
        self._record.ended = "failed"
        self._outgoing = Outgoing()
        self._outgoing.add(server_error(message), format="")
        self._outgoing.close(_INTERNAL_ERROR, message)
        await self._held.commit(self._outgoing.outputs, {record.FIELD: self._record.write()})
        return await self.leave()

    async def leave(self) -> SessionEnd:
        """Leave nothing of a session that is over but what its client has not been sent yet. Raises as `run` does."""
        self._kept.forget_all()
        try:
            await self._kept.sweep()
        except AntiphonError as error:
            logger.warning("audio of items stays until its time is over", extra={"cause": error.message})
        await self._held.finish()
        return SessionEnd(
            reason=self._record.ended or "",
            duration_s=(self._now_ms() - self._record.began_ms) / 1000,
            heard_s=self._ear.position / POSITIONS_PER_MS / 1000,
            spoken_s=self._record.spoken_bytes / kept_audio.BYTES_PER_MS["audio/pcm"] / 1000,
            responses=self._record.responses,
        )

    # -- what happens --------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            await self._inbox.put(await self._held.read())

    def _note(self) -> None:
        """Write that this attempt has lasted, however quiet the session is."""
        self._must_write = True
        self._inbox.put_now(Ticked())

    def _ring(self) -> None:
        self._alarm = None
        self._inbox.put_now(Ticked())

    async def _live(self, first: Began | Resumed) -> None:
        self._step(first)
        await self._settle()
        while self._record.ended is None:
            for thing in grouped(await self._inbox.take()):
                try:
                    await self._take(thing)
                except Exception:
                    self._stumble("something that happened to a session cannot be dealt with")
                if self._record.ended is not None:
                    break
                if self._listens_anew:
                    # What was ordered is about what was heard so far; what comes next is heard in another way.
                    await self._settle()
            await self._settle()

    async def _take(self, thing: Thing) -> None:
        if isinstance(thing, list):
            await self._take_input(thing)
        elif isinstance(thing, News):
            if thing.happening is None:
                self._spent.append(thing.errand)
            elif not thing.errand.dropped:
                self._step(thing.happening)
        elif not isinstance(thing, Ticked) or self._is_due_to_wake():
            self._step(thing)

    async def _take_input(self, entries: list[SessionInput]) -> None:
        if entries[0].kind == "audio":
            self._heard_s = self._loop.time()
            happening: Happening = await self._ear.hear(entries)
        else:
            happening = _said(entries[0])
        self._record.entry = entries[-1].entry.decode()
        self._step(happening)

    def _is_due_to_wake(self) -> bool:
        wake_at_ms = self._machine.wake_at_ms
        return wake_at_ms is not None and self._now_ms() >= wake_at_ms

    def _step(self, happening: Happening) -> None:
        try:
            effects = self._machine.step(happening, self._now_ms())
        except Exception:
            self._stumble("a session's machine failed")
            return
        self._watch.see(happening, effects)
        for event in effects.events:
            self._outgoing.add(event, format=self._machine.sound_format(event.get("response_id")))
        for sound in self._outgoing.take_sounds():
            start = self._kept.note(sound.item_id, sound.index, len(sound.data), format=sound.format)
            self._sounds.append((sound, start))
        for command in effects.commands:
            self._hands.heed(command, entry=self._record.entry)
            if isinstance(command, Listen):
                self._listens_anew = True
            elif isinstance(command, End):
                self._end(command.code, command.reason)
        self._commands += effects.commands
        self._unwritten = True
        self._must_write = self._must_write or not isinstance(happening, _REPEATED)
        if isinstance(happening, ClientLeft) and self._record.ended is None:
            self._record.ended = "client_left"

    def _stumble(self, what: str) -> None:
        """Tell the client of a fault that is not its own; too many of them end the session."""
        logger.exception(what, extra={"session": self._held.session_id})
        self._faults += 1
        message = "The server had an error while processing your request. Sorry about that!"
        self._outgoing.add(server_error(message), format="")
        if self._faults > _MOST_FAULTS and self._record.ended is None:
            self._end(_INTERNAL_ERROR, message)

    def _end(self, code: int, reason: str) -> None:
        self._outgoing.close(code, reason)
        self._record.ended = reason

    # -- what comes of it ----------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        while self._is_due():
            await self._write()
        self._set_alarm()

    def _is_due(self) -> bool:
        if self._outgoing.outputs or self._commands or self._must_write or self._spent:
            return True
        return self._unwritten and self._loop.time() - self._written_s >= _NOTE_S

    async def _write(self) -> None:
        commands, self._commands = self._commands, []
        spent, self._spent = self._spent, []
        sounds, self._sounds = self._sounds, []
        outgoing, self._outgoing.outputs = self._outgoing.outputs, []
        self._must_write = self._unwritten = self._listens_anew = False
        self._written_s = now_s = self._loop.time()
        await self._hands.prepare(commands)
        audio_from = self._machine.audio_from
        self._ear.release(audio_from, quiet=now_s - self._heard_s > _QUIET_S)
        changes: dict[str, bytes | None] = dict(self._machine.changes())
        changes[record.FIELD] = self._noted(now_s)
        if self._kept.changed:
            changes[kept_audio.FIELD] = self._kept.write_down()
        needed = self._ear.first or self._record.entry
        await self._held.commit(outgoing, changes, trim_before=needed.encode())
        if self._backlog.add(outgoing, unsent=self._held.unsent) > _MOST_UNSENT_BYTES and self._record.ended is None:
            logger.warning("a client does not take what it is sent", extra={"session": self._held.session_id})
            self._end(_TRY_LATER, "The client does not take what it is sent.")
        await self._keep(sounds)
        for command in commands:
            try:
                with self._watch.about(command):
                    await self._hands.carry_out(command)
            except Exception:
                self._stumble("an order of a session cannot be carried out")
        # Only now: what was ordered concerns audio that need not be held once it is done.
        self._ear.forget(audio_from)
        if self._jobs is not None:
            for errand in spent:
                self._jobs.end(errand)
            self._jobs.cancel_dropped()

    def _noted(self, now_s: float) -> bytes:
        self._record.ear = self._ear.state()
        self._record.spoken_bytes += self._outgoing.spoken_bytes
        self._record.responses += self._outgoing.responses
        self._outgoing.spoken_bytes = self._outgoing.responses = 0
        if now_s - self._started_s > _STEADY_S:
            self._record.steady = self._attempt
        return self._record.write()

    async def _keep(self, sounds: Sequence[tuple[SentSound, int]]) -> None:
        try:
            for sound, start in sounds:
                await self._kept.add(sound.item_id, sound.index, start, sound.data)
            await self._kept.sweep()
        except AntiphonError as error:
            logger.warning("audio of an item is not kept", extra={"cause": error.message})

    def _set_alarm(self) -> None:
        """Have `Ticked` come when the machine wants it; an alarm that rings too early is set again then."""
        wake_at_ms = self._machine.wake_at_ms
        if wake_at_ms is None:
            return
        due_s = self._loop.time() + max(_SOONEST_S, (wake_at_ms - self._now_ms()) / 1000)
        if self._alarm is not None:
            if self._alarm.when() <= due_s:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(due_s, self._ring)


def grouped(things: Sequence[Thing]) -> Iterator[Thing]:
    """Yield what has happened in order: audio that came in one piece together, other input one by one."""
    audio: list[SessionInput] = []
    for thing in things:
        for each in thing if isinstance(thing, list) else (thing,):
            if isinstance(each, SessionInput) and each.kind == "audio":
                audio.append(each)
                continue
            if audio:
                yield audio
                audio = []
            yield [each] if isinstance(each, SessionInput) else each
    if audio:
        yield audio


def _said(entry: SessionInput) -> Happening:
    """Return what an entry of the input says, other than audio."""
    if entry.kind == "left":
        return ClientLeft()
    if entry.kind == "refused":
        refusal = orjson.loads(entry.data)
        return Refused(ErrorInfo.model_validate(refusal["error"]), refusal.get("event_id"))
    try:
        event: Any = orjson.loads(entry.data)
    except orjson.JSONDecodeError:
        return _not_json()
    return ClientEvent(event) if isinstance(event, dict) else _not_json()


def _not_json() -> Refused:
    message = "The event is not a JSON object."
    return Refused(ErrorInfo(message=message, type="invalid_request_error", code="invalid_json", http_status=400))
