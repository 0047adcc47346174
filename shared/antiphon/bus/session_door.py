"""The door's end of live sessions."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import unavailable
from antiphon.bus.insisting import insist
from antiphon.bus.keys import SessionKeys, session_wake
from antiphon.bus.session_reading import SessionReader
from antiphon.bus.session_writing import SessionWriter
from antiphon.bus.sessions import SESSION_TTL_S, SessionOutput
from antiphon.bus.tasks import end
from antiphon.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.bus.sessions import InputKind, OutputKind
    from antiphon.telemetry.health import Pulse

_MOST_ON_THE_WAY = 64
_MOST_BYTES_ON_THE_WAY = 1024 * 1024
"""Entries and bytes of one session that the server has not acknowledged."""

_PIECE = 256 * 1024
"""A larger append is written in pieces, so that no count of entries is an unbounded number of bytes."""

_MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Input of one session that its worker has not done with, above which the client must wait."""

_COUNT_EVERY = 2048
"""Entries between two looks at how many are kept."""

_TRIM_EVERY, _TRIM_EVERY_S = 256, 1.0

_ALREADY = "equal or smaller"
"""In the error of an XADD whose id the stream has already."""

_KINDS: dict[bytes, OutputKind] = {b"event": "event", b"close": "close"}


class SessionDoor:
    """The sessions whose clients are at this process. `async with Bus.session_door()` makes one."""

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
        self._lines: set[SessionLine] = set()
        self._writer = SessionWriter(servers, longest_pause_s=longest_pause_s)
        self._reader: SessionReader[SessionOutput] = SessionReader(
            servers,
            scripts.outbox,
            wake=session_wake(f"{name}-door"),
            decode=_decode,
            tend=self._refresh,
            tend_every_s=refresh_s,
            longest_pause_s=longest_pause_s,
            pulse=pulse,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> SessionDoor:
        self._tasks = [
            asyncio.create_task(self._reader.run(), name="session-outputs"),
            asyncio.create_task(self._writer.run(), name="session-inputs"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks)
        await self._reader.close()
        await self._writer.close()

    def open(self, session_id: str) -> SessionLine:
        """Return the door's end of a session, which is read from its first output on. Close it in the end."""
        line = SessionLine(self._scripts, self._reader, self._writer, session_id, self._forget)
        self._lines.add(line)
        self._writer.writers = len(self._lines)
        return line

    def _forget(self, line: SessionLine) -> None:
        self._lines.discard(line)
        self._writer.writers = len(self._lines)

    async def _refresh(self) -> None:
        for line in self._lines:
            line.refresh()


class SessionLine:
    """One session, as its door sees it. One task reads."""

    def __init__(
        self,
        scripts: Scripts,
        reader: SessionReader[SessionOutput],
        writer: SessionWriter,
        session_id: str,
        forget: Any,
    ) -> None:
        self.session_id = session_id
        self._scripts = scripts
        self._reader = reader
        self._writer = writer
        self._keys = SessionKeys(session_id)
        self._input = self._keys.input.encode()
        self._forget = forget
        self._channel = reader.follow(self._keys.output, b"0-0")
        # Ids of our own, so that an entry which may or may not have arrived can be sent again.
        self._opened_ms = int(time.time() * 1000)
        self._number = 0
        self._beginning = asyncio.Lock()
        self._commands_on_the_way = 0
        self._bytes_on_the_way = 0
        self._room = asyncio.Event()
        self._all_written = asyncio.Event()
        self._failure: Exception | None = None
        self._is_gone = False
        self._is_ended = False
        self._is_closed = False
        self._kept: deque[int] = deque()
        self._kept_bytes = 0
        self._count_at = _COUNT_EVERY
        self._sent = 0
        self._trimmed_s = time.monotonic()
        self._sent_entry = b""

    async def write(self, kind: InputKind, data: bytes) -> None:
        """Put something at the end of the input; it leaves together with what else is written.

        Waits only while too much of this session is on its way, or unread. What comes after the session's end is
        dropped. Raises `Unavailable`.
        """
        if kind == "audio" and len(data) > _PIECE:
            for start in range(0, len(data), _PIECE):
                await self._put(kind, data[start : start + _PIECE])
        else:
            await self._put(kind, data)

    async def read(self) -> list[SessionOutput]:
        """Wait for the next entries of the output, in order, at least one. Raises `Unavailable`."""
        found = await self._channel.take()
        if found[-1].kind == "close":
            self._is_ended = True
        return found

    def sent(self, entry: bytes) -> None:
        """Note that all output up to this entry has gone to the client: it is deleted some time later."""
        self._sent_entry = entry
        self._sent += 1
        now_s = time.monotonic()
        if self._sent >= _TRIM_EVERY or now_s - self._trimmed_s >= _TRIM_EVERY_S:
            self._trimmed_s = now_s
            self._trim()

    async def close(self, reason: str) -> None:
        """Write that the client has left, wait until that is there, read no more. Raises `Unavailable`."""
        if self._is_closed:
            return
        self._is_closed = True
        self._reader.unfollow(self._channel)
        try:
            await self._put("left", reason.encode())
            while self._commands_on_the_way:
                self._all_written.clear()
                await self._all_written.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            self._forget(self)

    def refresh(self) -> None:
        """Lengthen the life of the session's streams: its client is still there."""
        outbox = self._scripts.outbox
        outbox.send("EXPIRE", self._input, SESSION_TTL_S)
        outbox.send("EXPIRE", self._keys.output, SESSION_TTL_S)
        if self._sent:
            self._trim()

    def written(self, size: int, reply: Any) -> None:
        """Take the server's reply to an entry."""
        self._commands_on_the_way -= 1
        self._bytes_on_the_way -= size
        if reply is None:
            self._is_gone = True
        elif isinstance(reply, Exception) and not (isinstance(reply, ResponseError) and _ALREADY in str(reply)):
            self._failure = _told(reply)
        if not self._room.is_set() and not self._is_full:
            self._room.set()
        if not self._commands_on_the_way:
            self._all_written.set()

    @property
    def _is_full(self) -> bool:
        return self._failure is None and (
            self._commands_on_the_way >= _MOST_ON_THE_WAY or self._bytes_on_the_way >= _MOST_BYTES_ON_THE_WAY
        )

    async def _put(self, kind: InputKind, data: bytes) -> None:
        if not self._number:
            async with self._beginning:
                if not self._number:
                    await self._begin(kind, data)
                    return
        if self._is_gone and not self._is_ended:
            await self._look_for_the_end()
        if len(self._kept) >= self._count_at or self._kept_bytes > _MOST_KEPT_BYTES:
            await self._wait_for_the_worker()
        while self._is_full:
            self._room.clear()
            await self._room.wait()
        if self._failure is not None:
            raise self._failure
        if self._is_gone:
            return
        self._number += 1
        entry = b"%d-%d" % (self._opened_ms, self._number)
        # Not made anew when it is gone: a session that has ended must not leave an input behind.
        packed = pack_command((b"XADD", self._input, b"NOMKSTREAM", entry, kind, data))  # type: ignore[arg-type]
        self._note(len(data))
        self._commands_on_the_way += 1
        self._bytes_on_the_way += len(packed)
        self._writer.put(packed, self, urgent=kind != "audio")

    async def _begin(self, kind: InputKind, data: bytes) -> None:
        """Write the first entry, which makes the stream."""
        entry = b"%d-1" % self._opened_ms
        try:
            await insist(lambda: self._scripts.run("enter", (self._keys.input,), SESSION_TTL_S, entry, kind, data))
        except Unavailable as error:
            if _ALREADY not in str(error.__cause__):
                self._failure = error
                raise
        self._note(len(data))
        self._number = 1

    def _note(self, size: int) -> None:
        self._kept.append(size)
        self._kept_bytes += size

    async def _wait_for_the_worker(self) -> None:
        """Go on when not too much of the input is waiting to be done with."""
        while True:
            left = await insist(lambda: self._scripts.outbox.call("XLEN", self._input))
            while len(self._kept) > left + self._commands_on_the_way:
                self._kept_bytes -= self._kept.popleft()
            self._count_at = len(self._kept) + _COUNT_EVERY
            if self._kept_bytes <= _MOST_KEPT_BYTES or self._failure is not None or self._is_gone:
                return
            await asyncio.sleep(0.1)

    async def _look_for_the_end(self) -> None:
        """See whether a session whose input is gone has said how it ended; what was lost with the server has not."""
        rest = await insist(
            lambda: self._scripts.outbox.call("XRANGE", self._keys.output, b"(" + self._channel.last, "+", "COUNT", 1)
        )
        if not rest and self._channel.empty and not self._is_ended:
            self._failure = Unavailable("The session was lost. Please begin a new one.")
            self._channel.fail(self._failure)

    def _trim(self) -> None:
        self._sent = 0
        self._scripts.outbox.send("XTRIM", self._keys.output, "MINID", self._sent_entry)


def _decode(entry: bytes, fields: Sequence[bytes]) -> SessionOutput | None:
    kind = _KINDS.get(fields[0])
    if kind is None:
        return None
    return SessionOutput(kind, fields[1], fields[3] if len(fields) > 3 else b"", entry)


def _told(error: Exception) -> Exception:
    return unavailable(error) if isinstance(error, RedisError | OSError) else error
