"""Coalesce commands: while one round trip is under way, what comes next waits and leaves together."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from antiphon.bus.absence import Absence

if TYPE_CHECKING:
    from antiphon.bus.line import Argument, Line

_BATCH = 256
"""Commands in one round trip; bounds the memory of a flush."""


@dataclass(frozen=True, slots=True)
class _Queued:
    """A command as it goes over the wire, and who waits for its reply."""

    packed: bytes
    future: asyncio.Future[Any]
    waits: bool
    """For replicas to have all that went before it."""


class Outbox(ABC):
    """Sends commands, many to a round trip, those of one key in the order in which they were called.

    `async with` owns the tasks that send; leaving waits for what was called.
    """

    absence: Absence
    """How long the servers have not answered."""

    @abstractmethod
    async def __aenter__(self) -> Outbox: ...

    @abstractmethod
    async def __aexit__(self, *_: object) -> None: ...

    @abstractmethod
    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """Queue a command on a key; the future gives its reply or raises `redis.RedisError` or `OSError`."""

    @abstractmethod
    def call_at(self, key: str | bytes, *command: Argument) -> asyncio.Future[Any]:
        """Queue a command that names no key, for the server that has this one, behind what was called for it."""

    @abstractmethod
    async def everywhere(self, *command: Argument) -> list[Any]:
        """Return the reply of every server that has keys. Raises as the future of `call` does."""

    @abstractmethod
    async def check(self) -> None:
        """Raise as the future of `call` does unless all keys can be read and written."""

    def send(self, *command: Argument) -> None:
        """Queue a command whose reply nobody needs."""
        self.call(*command).add_done_callback(_forget)


class LineOutbox(Outbox):
    """Sends to one server, over one connection."""

    def __init__(self, line: Line, scripts: dict[str, str]) -> None:
        """`scripts` maps SHA-1 to source: what to load when the server does not know a script."""
        self.absence = Absence()
        self._line = line
        self._scripts = scripts
        self._waiting: list[_Queued] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._closed = False

    async def __aenter__(self) -> LineOutbox:
        self._task = asyncio.create_task(self._run(), name="outbox")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._line.close()

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """Queue a command."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(RedisConnectionError("the bus is closed"))
            return future
        try:
            # Here, so that what cannot be sent concerns nobody else's commands.
            packed = pack_command(command)  # type: ignore[arg-type]
        except Exception as error:
            future.set_exception(error)
            return future
        self._waiting.append(_Queued(packed, future, waits=command[0] == "WAIT"))
        self._wake.set()
        return future

    def call_at(self, key: str | bytes, *command: Argument) -> asyncio.Future[Any]:
        """Queue a command: there is one server, whatever the key."""
        return self.call(*command)

    async def everywhere(self, *command: Argument) -> list[Any]:
        """Return the one reply."""
        return [await self.call(*command)]

    async def check(self) -> None:
        """Ask for a sign of life."""
        await self.call("PING")

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                await self._flush(batch)
            if self._closing:
                self._closed = True
                return

    async def _flush(self, batch: list[_Queued]) -> None:
        try:
            replies = await self._exchange(batch)
            self.absence.over()
        except Exception as error:
            self.absence.note(error)
            # Whatever went wrong belongs to the callers: they know whether a command may be repeated.
            replies = [error] * len(batch)
        for queued, reply in zip(batch, replies, strict=True):
            future = queued.future
            if future.done():
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    async def _exchange(self, batch: list[_Queued]) -> list[Any]:
        replies = await self._line.exchange_packed([queued.packed for queued in batch])
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            # The server was restarted or failed over; nothing of these has been run.
            await self._line.exchange([("SCRIPT", "LOAD", source) for source in self._scripts.values()])
            # What waits for replicas must wait for these as well.
            unknown += [i for i, queued in enumerate(batch) if queued.waits]
            again = await self._line.exchange_packed([batch[i].packed for i in unknown])
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        return replies


def _forget(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
