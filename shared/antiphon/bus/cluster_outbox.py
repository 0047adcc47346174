"""An outbox for a cluster: commands wait in the order of their slot and leave with those of other slots of a master.

Of one slot only one batch is under way at a time. So commands of a key stay in order when the slot moves, whoever has
noticed first; and a master that is away, or a slot that is being moved, holds up nobody else's.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from antiphon.bus.absence import Absence
from antiphon.bus.cluster import slot_of, target_of
from antiphon.bus.cluster_line import ASKING, NOT_RUN, PATIENCE_S, PAUSE_S
from antiphon.bus.outbox import Outbox
from antiphon.bus.tasks import end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antiphon.bus.cluster import Address, Cluster
    from antiphon.bus.line import Argument

_BATCH = 256
"""Commands in one round trip; bounds the memory of a flush."""

_KEY_AT = {"EVALSHA": 3, "XGROUP": 2, "XINFO": 2}
"""Place of the first key in a command where it is not the first argument."""

_KEYLESS = frozenset({"PING", "TIME", "WAIT", "INFO", "SCRIPT", "CLUSTER", "CONFIG", "KEYS", "SCAN", "EVAL"})


def key_of(command: tuple[Argument, ...]) -> str | bytes:
    """Return the key that says which slot a command belongs to. Raises `ValueError` for one that names none."""
    name = command[0]
    if name in _KEYLESS:
        raise ValueError(f"{name!r} names no key: say at which key, or everywhere")
    key = command[_KEY_AT.get(name, 1)]  # type: ignore[arg-type]
    if not isinstance(key, str | bytes):
        raise ValueError(f"{key!r} is no key")
    return key


class _Queued:
    """A command as it goes over the wire, and who waits for its reply."""

    __slots__ = ("asking", "future", "packed", "place", "put_off_s", "waits")

    def __init__(self, packed: bytes, future: asyncio.Future[Any], *, waits: bool) -> None:
        self.packed = packed
        self.future = future
        self.waits = waits
        """For replicas to have all that went before it."""
        self.place: Address | None = None
        """Where it goes if not to the slot's master."""
        self.asking = False
        self.put_off_s: float | None = None
        """When it was not run for the first time."""

    def give(self, reply: Any) -> None:
        if self.future.done():
            return
        if isinstance(reply, Exception):
            self.future.set_exception(reply)
        else:
            self.future.set_result(reply)


class _Queue:
    """What is called for one slot and not under way yet."""

    __slots__ = ("offered", "slot", "waiting")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.waiting: deque[_Queued] = deque()
        self.offered = False
        """A sender knows of it, or has commands of it under way."""


class _Sender:
    """Takes from the queues that are offered to it, for one master."""

    def __init__(self, outbox: ClusterOutbox, address: Address) -> None:
        self._outbox = outbox
        self.address = address
        self.line = outbox.cluster.line(address)
        self._ready: list[_Queue] = []
        self._wake = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"outbox-{address[1]}")

    def offer(self, queue: _Queue) -> None:
        self._ready.append(queue)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                batch = self._take()
                if batch:
                    await self._flush(batch)

    def _take(self) -> list[tuple[_Queue, list[_Queued]]]:
        ready, self._ready = self._ready, []
        batch: list[tuple[_Queue, list[_Queued]]] = []
        room = _BATCH
        for place, queue in enumerate(ready):
            if room <= 0:
                self._ready += ready[place:]
                break
            if self._outbox.place_of(queue) != self.address:
                # The map has changed since it was offered.
                self._outbox.offer(queue)
                continue
            run = [queue.waiting.popleft()]
            room -= 1
            while queue.waiting and room > 0 and queue.waiting[0].place == run[0].place:
                run.append(queue.waiting.popleft())
                room -= 1
            batch.append((queue, run))
        return batch

    async def _flush(self, batch: list[tuple[_Queue, list[_Queued]]]) -> None:
        packed: list[bytes] = []
        for _, run in batch:
            for queued in run:
                packed += (ASKING, queued.packed) if queued.asking else (queued.packed,)
        try:
            replies = await self.line.exchange_packed(packed)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                # The server was restarted or failed over.
                await self.line.exchange([("SCRIPT", "LOAD", source) for source in self._outbox.scripts.values()])
        except Exception as error:
            # Whatever went wrong belongs to the callers: they know whether a command may be repeated.
            for _, run in batch:
                for queued in run:
                    queued.give(error)
            self._outbox.note(self.address, error)
            for queue, _ in batch:
                self._outbox.go_on(queue)
            return
        self._outbox.note(self.address, None)
        rest = iter(replies)
        for queue, run in batch:
            self._settle(queue, run, rest)

    def _settle(self, queue: _Queue, run: list[_Queued], replies: Iterator[Any]) -> None:
        """Give a slot's replies; put back what was not run, and what waits for the replicas of that."""
        again: list[_Queued] = []
        pause = False
        now_s = time.monotonic()
        for queued in run:
            if queued.asking:
                next(replies)
            reply = next(replies)
            redirect = isinstance(reply, NOT_RUN)
            if not redirect and not isinstance(reply, NoScriptError) and not (queued.waits and again):
                queued.give(reply)
                continue
            if redirect:
                self._follow(queued, reply)
                pause = pause or queued.put_off_s is not None or not isinstance(reply, AskError)
            if queued.put_off_s is None:
                queued.put_off_s = now_s
            if now_s - queued.put_off_s > PATIENCE_S:
                queued.give(reply)
            else:
                again.append(queued)
        queue.waiting.extendleft(reversed(again))
        if pause and again:
            asyncio.get_running_loop().call_later(PAUSE_S, self._outbox.go_on, queue)
        else:
            self._outbox.go_on(queue)

    def _follow(self, queued: _Queued, redirect: Exception) -> None:
        queued.place, queued.asking = None, False
        if isinstance(redirect, MovedError):
            self._outbox.cluster.learn(redirect, told_by=self.address)
            # Where one slot has gone, others may have.
            self._outbox.look_again()
        elif isinstance(redirect, AskError):
            queued.place, queued.asking = target_of(redirect, told_by=self.address), True


class ClusterOutbox(Outbox):
    """Sends to the masters of a cluster, over one connection to each."""

    def __init__(self, cluster: Cluster, scripts: dict[str, str]) -> None:
        """`scripts` maps SHA-1 to source: what to load when a master does not know a script."""
        self.absence = Absence()
        self.cluster = cluster
        self.scripts = scripts
        self._queues: dict[int, _Queue] = {}
        self._senders: dict[Address, _Sender] = {}
        self._homeless: list[_Queue] = []
        """Queues whose master is not known."""
        self._look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._closed = False
        self._away: set[Address] = set()
        """Masters that have not answered when they were asked last."""

    async def __aenter__(self) -> ClusterOutbox:
        self._task = asyncio.create_task(self._find(), name="cluster-map")
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._queues:
            self._empty.clear()
            await self._empty.wait()
        self._closed = True
        tasks = [sender.task for sender in self._senders.values()]
        await end([*tasks, *([self._task] if self._task is not None else [])])
        for sender in self._senders.values():
            await sender.line.close()

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """Queue a command for the master that has its key."""
        try:
            key = key_of(command)
        except (ValueError, LookupError) as error:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            future.set_exception(error)
            return future
        return self.call_at(key, *command)

    def call_at(self, key: str | bytes, *command: Argument) -> asyncio.Future[Any]:
        """Queue a command for the master that has a key."""
        slot = slot_of(key)
        queue = self._queues.get(slot)
        if queue is None:
            queue = self._queues[slot] = _Queue(slot)
        return self._put(queue, command)

    async def everywhere(self, *command: Argument) -> list[Any]:
        """Return the reply of each master."""
        if not self.cluster.masters():
            await self.cluster.refresh()
        futures = [self._put(_Queue(-1), command, place=address) for address in self.cluster.masters()]
        # All, so that none is left whose error nobody has asked for.
        replies = await asyncio.gather(*futures, return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        return replies

    async def check(self) -> None:
        """Ask each master whether the cluster is whole."""
        for facts in await self.everywhere("CLUSTER", "INFO"):
            if b"cluster_state:ok" not in facts:
                raise ClusterDownError("a master says that the cluster is not whole")

    def place_of(self, queue: _Queue) -> Address | None:
        """Return where the next command of a queue goes."""
        return queue.waiting[0].place or self.cluster.owner(queue.slot)

    def offer(self, queue: _Queue) -> None:
        """Let whoever sends to its place know of a queue, which is not empty."""
        queue.offered = True
        address = self.place_of(queue)
        if address is None:
            self._homeless.append(queue)
            self._look.set()
            return
        sender = self._senders.get(address)
        if sender is None:
            sender = self._senders[address] = _Sender(self, address)
        sender.offer(queue)

    def go_on(self, queue: _Queue) -> None:
        """Offer a queue again of which nothing is under way any more, or forget it."""
        if queue.waiting:
            self.offer(queue)
            return
        queue.offered = False
        self._queues.pop(queue.slot, None)
        if not self._queues:
            self._empty.set()

    def note(self, address: Address, error: Exception | None) -> None:
        """Note whether a master has answered."""
        if error is not None:
            self._away.add(address)
            self.absence.note(error)
            # It may have a successor.
            self.look_again()
            return
        self._away.discard(address)
        if not self._away:
            self.absence.over()

    def look_again(self) -> None:
        """Have the map asked for soon."""
        self._look.set()

    def _put(
        self, queue: _Queue, command: tuple[Argument, ...], *, place: Address | None = None
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(RedisConnectionError("the bus is closed"))
            return future
        try:
            # Here, so that what cannot be sent concerns nobody else's commands.
            packed = pack_command(command)  # type: ignore[arg-type]
        except Exception as error:
            future.set_exception(error)
        else:
            queued = _Queued(packed, future, waits=command[0] == "WAIT")
            queued.place = place
            queue.waiting.append(queued)
        if not queue.offered:
            self.go_on(queue)
        return future

    async def _find(self) -> None:
        """Keep the map, and fail what no master can be found for."""
        while True:
            await self._look.wait()
            self._look.clear()
            failure: Exception = ClusterDownError("no master has the slot")
            try:
                await self.cluster.refresh()
            except (RedisError, OSError) as error:
                failure = error
            else:
                self._away.intersection_update(self.cluster.masters())
            homeless, self._homeless = self._homeless, []
            for queue in homeless:
                if self.place_of(queue) is None:
                    waiting, queue.waiting = queue.waiting, deque()
                    for queued in waiting:
                        queued.give(failure)
                self.go_on(queue)
