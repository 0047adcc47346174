"""The worker's end of live sessions."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from antiphon.bus.connection import pairs_of
from antiphon.bus.insisting import insist
from antiphon.bus.keys import SessionKeys, session_wake
from antiphon.bus.session_reading import SessionReader
from antiphon.bus.sessions import SESSION_TTL_S, SessionInput, SessionLost
from antiphon.bus.tasks import end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from antiphon.bus.line import Argument
    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.bus.session_reading import Channel
    from antiphon.bus.sessions import InputKind, SessionOutput
    from antiphon.telemetry.health import Pulse

logger = logging.getLogger(__name__)

_REST_S = 60
"""How long the output of a finished session can still be read."""

_PAGE = 64

_KINDS: dict[bytes, InputKind] = {b"audio": "audio", b"event": "event", b"refused": "refused", b"left": "left"}

_DOOR_GONE = b"the door is gone"


class SessionHost:
    """The sessions that this process holds. `async with Bus.session_host()` makes one."""

    def __init__(
        self,
        servers: Servers,
        scripts: Scripts,
        name: str,
        *,
        refresh_s: float,
        longest_pause_s: float,
        pulse: Pulse,
    ) -> None:
        self._scripts = scripts
        self._refresh_s = refresh_s
        self._refreshed_s = time.monotonic()
        self._held: set[HeldSession] = set()
        self._reader: SessionReader[SessionInput] = SessionReader(
            servers,
            scripts.outbox,
            wake=session_wake(f"{name}-host"),
            decode=_decode,
            tend=self._refresh,
            tend_every_s=refresh_s,
            longest_pause_s=longest_pause_s,
            pulse=pulse,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> SessionHost:
        self._tasks = [asyncio.create_task(self._reader.run(), name="session-inputs")]
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks)
        await self._reader.close()

    async def take(self, session_id: str) -> HeldSession:
        """Take the pen of a session from whoever has it, and load what was kept. Raises `Unavailable`."""
        keys = SessionKeys(session_id)
        token = secrets.token_hex(8)
        names = (keys.pen, keys.state, keys.output)
        over, fields = await insist(lambda: self._scripts.run("hold", names, token, SESSION_TTL_S))
        snapshot = {name.decode(): value for name, value in pairs_of(fields).items()}
        held = HeldSession(
            self._scripts, self._reader, keys, token, snapshot=snapshot, over=bool(over), forget=self._held.discard
        )
        self._held.add(held)
        return held

    async def _refresh(self) -> None:
        now_s = time.monotonic()
        # Just back from an absence of the server's, a door has not had its chance to say that it lives.
        may_judge = now_s - self._refreshed_s < 2 * self._refresh_s
        self._refreshed_s = now_s
        held = tuple(self._held)
        left_s = await asyncio.gather(*(session.refresh() for session in held))
        if not may_judge:
            return
        silence_s = 2.5 * self._refresh_s
        for session, life_s in zip(held, left_s, strict=True):
            is_absent = life_s == -2 and now_s - session.taken_s > silence_s
            if is_absent or 0 <= life_s < SESSION_TTL_S - silence_s:
                session.end_for_the_door()


class HeldSession:
    """One session, as the worker that has its pen sees it. One task at a time uses it."""

    def __init__(
        self,
        scripts: Scripts,
        reader: SessionReader[SessionInput],
        keys: SessionKeys,
        token: str,
        *,
        snapshot: Mapping[str, bytes],
        over: bool,
        forget: Callable[[HeldSession], None],
    ) -> None:
        self.session_id = keys.session_id
        self.snapshot = snapshot
        """The fields that were kept when the pen was taken; empty for a new session."""
        self.over = over
        """It was finished before, and only its job has not been settled: nothing is left to be done."""
        self.unsent = 0
        """Entries of the output that the door had not sent yet, as of the last commit."""
        self.taken_s = time.monotonic()
        self._scripts = scripts
        self._reader = reader
        self._keys = keys
        self._names = (keys.pen, keys.output, keys.input, keys.state)
        self._token = token
        self._forget = forget
        self._commits = 0
        self._channel: Channel[SessionInput] | None = None
        self._has_left = False

    def follow(self, after: bytes) -> None:
        """Begin to read the input behind an entry; `0-0` is its beginning."""
        if self._channel is not None:
            self._reader.unfollow(self._channel)
        self._channel = self._reader.follow(self._keys.input, after)

    async def read(self) -> list[SessionInput]:
        """Wait for the next entries of the input, in order, at least one. Raises `Unavailable`."""
        if self._channel is None:
            raise ValueError("the input is not followed")
        return await self._channel.take()

    async def recall(self, first: bytes, last: bytes) -> list[SessionInput]:
        """Return the entries of a range of the input, both ends included. Raises `Unavailable`."""
        found: list[SessionInput] = []
        start = first
        while True:
            command = ("XRANGE", self._keys.input, start, last, "COUNT", _PAGE)
            page = await insist(lambda command=command: self._scripts.outbox.call(*command))  # type: ignore[misc]
            found += [item for entry, fields in page if (item := _decode(entry, fields)) is not None]
            if len(page) < _PAGE:
                return found
            start = b"(" + page[-1][0]

    async def commit(
        self,
        outputs: Sequence[SessionOutput],
        changes: Mapping[str, bytes | None],
        *,
        trim_before: bytes | None = None,
    ) -> None:
        """Write a step in one piece: output, fields of the snapshot (None deletes one), where the input begins.

        Exactly once, however often the server goes away meanwhile. Raises `SessionLost`, `Unavailable`.
        """
        if not outputs and not changes and trim_before is None:
            return
        # Numbered, so that one whose reply was lost is known again.
        self._commits += 1
        args: list[Argument] = [self._token, self._commits, SESSION_TTL_S, trim_before or b"", len(outputs)]
        for output in outputs:
            args += (output.kind, output.data, output.audio)
        gone: list[str] = []
        for name, value in changes.items():
            if value is None:
                gone.append(name)
            else:
                args += (name, value)
        args.insert(5, len(changes) - len(gone))
        args += gone
        verdict, self.unsent = await insist(lambda: self._scripts.run("commit", self._names, *args))
        self._heed(verdict)

    async def finish(self) -> None:
        """End the session: snapshot and input go, the output stays for a minute. Raises as `commit` does."""
        self._heed(await insist(lambda: self._scripts.run("finish", self._names, self._token, SESSION_TTL_S, _REST_S)))
        self.release()

    def release(self) -> None:
        """Read no more; a successor may take the session. To be called when the handler ends, however it ends."""
        if self._channel is not None:
            self._reader.unfollow(self._channel)
        self._forget(self)

    async def refresh(self) -> int:
        """Lengthen the life of what the worker writes; tell how many seconds the door's stream has, -2 without one."""
        outbox = self._scripts.outbox
        for name in (self._keys.pen, self._keys.state, self._keys.output):
            outbox.send("EXPIRE", name, SESSION_TTL_S)
        life_s: int = await outbox.call("TTL", self._keys.input)
        return life_s

    def end_for_the_door(self) -> None:
        """Write that the client has left, on behalf of a door that has died."""
        if not self._has_left:
            self._has_left = True
            logger.warning("a session has lost its door", extra={"session": self.session_id})
            self._scripts.send("enter", (self._keys.input,), SESSION_TTL_S, "*", "left", _DOOR_GONE)

    def _heed(self, verdict: Any) -> None:
        if verdict == 0:
            self.release()
            raise SessionLost("another worker has taken the session over")


def _decode(entry: bytes, fields: Sequence[bytes]) -> SessionInput | None:
    kind = _KINDS.get(fields[0])
    return None if kind is None else SessionInput(entry, kind, fields[1])
