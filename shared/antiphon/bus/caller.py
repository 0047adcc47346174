"""Publish jobs and wait for what becomes of them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from antiphon.bus.connection import unavailable
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.pace import LanePace
from antiphon.bus.policy import most_waiting, wait_told_s
from antiphon.bus.replies import Follower, OutputEvent, ReplyReader
from antiphon.bus.tasks import end
from antiphon.bus.wire import Envelope, pack, seal_envelope
from antiphon.errors import DeadlineExceeded, Overloaded, Unavailable
from antiphon.schemas import Job, JobRequest, Kind, Outcome, Priority
from antiphon.telemetry import current_trace, producer_span, tracing_enabled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from antiphon.bus.clock import ServerClock
    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.settings import BusSettings
    from antiphon.telemetry.health import Health

_IDEMPOTENCY_S = 24 * 3600
_CANCEL_MS = 24 * 3600 * 1000
_LOOK_S = 5.0
"""How often a waiting caller looks at the result itself, in case its reply was lost with a server's memory."""
_LOOK_AGAIN_S = 0.25
"""The same for a job whose reply goes to the process that has submitted it before."""
_LATE_S = 2.0
"""How long after the deadline the worker's own word on it is awaited."""


_REPLICATION_MS = 1_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """A job that is on its lane."""

    job_id: str
    known: bool
    """The idempotency key stood for an earlier job, whose id this is."""


class Call:
    """A job that was accepted."""

    def __init__(
        self,
        caller: Caller,
        job: Job,
        reader: ReplyReader,
        reply: asyncio.Future[bytes],
        *,
        expires_in_s: float | None,
    ) -> None:
        self.job_id = job.id
        self._job = job
        if expires_in_s is None and job.deadline_ms is not None:
            expires_in_s = (job.deadline_ms - caller.now_ms()) / 1000
        self._expires_s = None if expires_in_s is None else time.monotonic() + expires_in_s
        self._caller = caller
        self._reader = reader
        self._reply = reply
        self._follower: Follower | None = None
        self._listening = False
        self._look_s = _LOOK_S

    async def outcome(self) -> Outcome:
        """Wait for the end. Raises `DeadlineExceeded` when the deadline has passed and no worker says so."""
        try:
            while not self._reply.done():
                await asyncio.wait([self._reply], timeout=self._look_s)
                if not self._reply.done():
                    await self._look()
            return Outcome.model_validate_json(self._reply.result())
        finally:
            self._reader.forget(self.job_id, self._reply)
            if self._follower is not None and not self._listening:
                self._reader.unfollow(self._follower)

    async def events(self, *, keep: bool = False) -> AsyncIterator[OutputEvent]:
        """Yield the output of a streamed job; the last event has the kind `outcome`.

        Then, or when the reader leaves, the output is deleted, unless a successor of the reader may need it: `keep`.
        """
        follower = self._follower
        if follower is None:
            raise ValueError("the job is not streamed")
        self._listening = True
        self._reader.resume(follower)
        try:
            while True:
                follower.arrived.clear()
                while follower.events:
                    was_full = follower.full
                    event = follower.events.popleft()
                    if was_full and not follower.full:
                        self._reader.wake()
                    if event.kind == "outcome":
                        self._reader.deliver(self.job_id, event.data)
                    yield event
                    if event.kind == "outcome":
                        return
                if not follower.events:
                    await self._await_events(follower)
        finally:
            self._reader.unfollow(follower)
            self._reader.forget(self.job_id, self._reply)
            if not keep:
                self.discard_output()

    def discard_output(self) -> None:
        """Delete the output of a streamed job: nobody reads it any more."""
        if self._follower is not None:
            self._caller.scripts.outbox.send("UNLINK", self._follower.key)

    async def cancel(self) -> None:
        """Ask for the job to be stopped; nothing happens when it has ended. Raises `Unavailable`."""
        await self._caller.cancel(self._job.kind, self.job_id)

    def abandon(self) -> None:
        """Wait for nothing more of this job."""
        self._reader.forget(self.job_id, self._reply)
        if self._follower is not None:
            self._reader.unfollow(self._follower)

    def follow(self) -> None:
        """Begin to read the output; called before the job is published."""
        self._follower = self._reader.follow(self.job_id)

    def join(self) -> None:
        """Note that the job was submitted before: its reply goes elsewhere."""
        self._look_s = _LOOK_AGAIN_S

    async def _await_events(self, follower: Follower) -> None:
        try:
            # Not wait_for: it may swallow a cancellation that comes together with the event.
            async with asyncio.timeout(self._look_s):
                await follower.arrived.wait()
        except TimeoutError:
            # The output ends with the outcome; only the loss of the stream itself can keep it from us.
            await self._look()
            if self._reply.done() and await self._is_read_out(follower) and not follower.arrived.is_set():
                follower.events.append(OutputEvent("outcome", self._reply.result(), -1))

    async def _is_read_out(self, follower: Follower) -> bool:
        """Tell whether the server has nothing more of an output; what it cannot say now is no."""
        try:
            rest = await self._caller.scripts.outbox.call("XRANGE", follower.key, b"(" + follower.last, "+", "COUNT", 1)
        except (RedisError, OSError):
            return False
        return not rest

    async def _look(self) -> None:
        try:
            result = await self._caller.scripts.outbox.call("GET", LaneKeys(self._job.kind).result(self.job_id))
        except (RedisError, OSError):
            result = None
        if result is not None:
            self._reader.deliver(self.job_id, result)
            # Who has stopped waiting for the reply may still ask for the outcome.
            if not self._reply.done():
                self._reply.set_result(result)
        elif self._expires_s is not None and time.monotonic() > self._expires_s + _LATE_S:
            raise DeadlineExceeded("The deadline passed before the job was done.")


class Caller:
    """Publishes jobs from one process and holds what is awaited. `async with Bus.caller()` makes one."""

    def __init__(
        self,
        servers: Servers,
        scripts: Scripts,
        settings: BusSettings,
        name: str,
        *,
        clock: ServerClock,
        health: Health,
    ) -> None:
        self.scripts = scripts
        self.now_ms = clock.now_ms
        self._servers = servers
        self._settings = settings
        self._name = name
        self._health = health
        self._pace = LanePace(scripts.outbox)
        self._readers: dict[Kind, ReplyReader] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._tracing = tracing_enabled()

    async def submit(
        self, job: Job, *, priority: Priority = "std", expires_in_s: float | None = None, resume: bool = False
    ) -> Call:
        """Put a job on its lane and wait for nothing but its admission. Raises `Overloaded` or `Unavailable`.

        With `resume` nothing is done twice when a process dies between submitting and hearing: while the result is kept
        the id is on the lane once, and whoever submits it with `resume` again joins it wherever it is, its output from
        the beginning. Leave the output to a successor then: `events(keep=True)`.
        """
        reader = self._reader(job.kind)
        call = Call(self, job, reader, reader.expect(job.id), expires_in_s=expires_in_s)
        if job.stream:
            call.follow()
            reader.wake()
        try:
            admitted = await self.publish(
                job, priority=priority, reply=self._name, expires_in_s=expires_in_s, once=resume
            )
        except BaseException:
            call.abandon()
            raise
        if admitted.known:
            call.join()
        return call

    async def publish(
        self,
        job: Job,
        *,
        priority: Priority = "std",
        reply: str | None = None,
        idempotency_key: str | None = None,
        expires_in_s: float | None = None,
        request: JobRequest | None = None,
        once: bool = False,
    ) -> Admitted:
        """Put a job on its lane, unless the same key stands for an earlier one, or its id does and that is `once` only.

        `expires_in_s` is the deadline by the server's clock. With `request` a record is made in the same step. Accepted
        means durable. Raises `Overloaded` when the backlog is full, `Unavailable` when the bus is.
        """
        if once and idempotency_key:
            raise ValueError("a job with an idempotency key is known by that")
        keys = LaneKeys(job.kind)
        stream = keys.jobs(priority)
        mark, mark_s = stream, 0
        if once:
            mark, mark_s = keys.once(job.id), job.keep_s
        elif idempotency_key:
            mark, mark_s = keys.idempotency(job.tenant, idempotency_key), _IDEMPOTENCY_S
        names = (
            stream,
            mark,
            keys.record(job.id) if request else stream,
            keys.listing(job.tenant) if request else stream,
            keys.promised(priority),
        )
        data = job.model_dump_json().encode()
        # A session lasts as long as its client likes: how many have ended says nothing about the next one's turn.
        rate = 0.0 if job.kind == "realtime" else self._pace.rate(job.kind)
        with producer_span(job.kind, job.id) if self._tracing else nullcontext():
            envelope = self._envelope(data, reply)
            expires_in_ms = _milliseconds(expires_in_s)
            admit = partial(
                self.scripts.admit,
                names,
                group=GROUP,
                limit=self._limit(priority, rate),
                job_id=job.id,
                dedupe_s=mark_s,
                expires_in_ms=expires_in_ms,
                rate=rate,
                record_s=job.keep_s + expires_in_ms // 1000 if request else 0,
                record=_record(data, request) if request else b"",
                fields=seal_envelope(envelope),
            )
            verdict, detail = await self._durable(stream, admit(who=""))
            if verdict == b"who":
                verdict, detail = await self._durable(stream, admit(who=_who(job)))
        if verdict == b"full":
            wait_s = wait_told_s(int(detail))
            raise Overloaded(
                f"The backlog of {job.kind} jobs is full. Please retry after {max(wait_s, 1):.0f} seconds.",
                retry_after_s=wait_s,
            )
        return Admitted(detail.decode() if verdict == b"known" else job.id, known=verdict == b"known")

    async def publish_many(
        self,
        kind: Kind,
        jobs: Sequence[bytes],
        *,
        priority: Priority = "bulk",
        reply: str | None = None,
        expires_in_s: float | None = None,
    ) -> int:
        """Put the JSON of a few hundred jobs on their lane in one step; tell how many there was room for.

        Those of the beginning, each durable. Raises `Unavailable`.
        """
        common = seal_envelope(self._envelope(b"", reply))[2:]
        limit = self._limit(priority, self._pace.rate(kind))
        expires_in_ms = _milliseconds(expires_in_s)
        stream = LaneKeys(kind).jobs(priority)
        _, accepted = await self._durable(
            stream, self.scripts.run("fill", (stream,), GROUP, limit, expires_in_ms, len(common), *common, *jobs)
        )
        return int(accepted)

    def _envelope(self, data: bytes, reply: str | None) -> Envelope:
        trace = current_trace() if self._tracing else {}
        return Envelope(
            data=data, reply=reply, traceparent=trace.get("traceparent"), tracestate=trace.get("tracestate")
        )

    def _limit(self, priority: Priority, rate: float) -> int:
        if priority == "bulk":
            return self._settings.max_bulk_backlog
        return most_waiting(self._settings.max_backlog, rate=rate, max_wait_s=self._settings.max_wait.total_seconds())

    async def _durable(self, stream: str, admission: Awaitable[Sequence[bytes]]) -> Sequence[bytes]:
        """Wait for what an admission says, and for the replicas that must have it."""
        replicas = self._settings.replicas
        try:
            if not replicas:
                return await admission
            # It goes out behind the admission, and concerns all that went before it.
            reached = self.scripts.outbox.call_at(stream, "WAIT", replicas, _REPLICATION_MS)
            verdict, copies = await asyncio.gather(admission, reached)
            if copies < replicas and verdict[0] not in (b"full", b"who"):
                raise Unavailable("The job store has too few replicas. Please try again shortly.", retry_after_s=2.0)
            return verdict
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def cancel(self, kind: Kind, job_id: str) -> bool:
        """Ask for a job to be stopped; tell whether it had not ended. Raises `Unavailable`."""
        keys = LaneKeys(kind)
        try:
            asked: int = await self.scripts.run(
                "cancel", (keys.cancelled, keys.control, keys.result(job_id)), job_id, _CANCEL_MS
            )
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return bool(asked)

    async def close(self) -> None:
        """Stop reading replies."""
        await end(self._tasks)
        for reader in self._readers.values():
            await reader.close()

    def _reader(self, kind: Kind) -> ReplyReader:
        reader = self._readers.get(kind)
        if reader is None:
            reader = ReplyReader(
                self._servers,
                self.scripts.outbox,
                LaneKeys(kind),
                self._name,
                pulse=self._health.loop(f"{kind} replies"),
            )
            self._readers[kind] = reader
            self._tasks.append(asyncio.create_task(reader.run(), name=f"replies-{kind}"))
        return reader


def _milliseconds(expires_in_s: float | None) -> int:
    """Return a deadline as the scripts take it; 0 stands for none."""
    return 0 if expires_in_s is None else max(1, round(expires_in_s * 1000))


def _who(job: Job) -> str:
    """Return what a refused caller is known by when it comes back: what it asks for."""
    asked = job.model_dump_json(exclude={"id": True, "created_ms": True, "audio": {"uri"}})
    return hashlib.blake2b(asked.encode(), digest_size=12).hexdigest()


def _record(data: bytes, request: JobRequest) -> bytes:
    """Return what is kept about a job from its beginning, as packed fields and values."""
    return pack([b"job", data, b"request", request.model_dump_json().encode()])
