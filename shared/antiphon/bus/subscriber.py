"""A lane as a real FastStream subscriber whose read, lease and settle loop is ours.

FastStream gives registration, middlewares, dependency injection and AsyncAPI. Its own stream loop creates the group at
the stream's end, reads more than it can run, never renews, leaves failed entries pending for ever; it is not used.
The private API that is touched is pinned by a contract test.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.redis import RedisBroker, RedisStreamMessage, StreamSub
from faststream.redis.subscriber.config import RedisSubscriberConfig, RedisSubscriberSpecificationConfig
from faststream.redis.subscriber.specification import StreamSubscriberSpecification
from faststream.redis.subscriber.usecases import StreamSubscriber
from pydantic import ValidationError
from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import BLOCK_MS, TRANSIENT, pairs_of, read_group
from antiphon.bus.deliveries import Attempt, Delivery, Held, Pace, Running
from antiphon.bus.keeping import Keeper
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.settlement import Settler
from antiphon.bus.wire import open_envelope
from antiphon.bus.work import Draining, Interrupted, LeaseLost, Work, cancelled
from antiphon.errors import AntiphonError, Cancelled, DeadlineExceeded, Failure
from antiphon.schemas import PRIORITIES, Job, Kind, Schema, now_ms
from antiphon.telemetry import consumer_span, tracing_enabled
from antiphon.telemetry.tracing import mark_failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from antiphon.bus.scripts import Scripts
    from antiphon.bus.work import Handler
    from antiphon.settings import BusSettings

logger = logging.getLogger(__name__)

JobT = TypeVar("JobT", bound=Job)

_BULK_FIRST_EVERY = 10
"""Every so many reads start from the least urgent stream, so that none starves."""

_STOP_S = 5.0
"""How long interrupted handlers may take to let go."""


class LeasedSubscriber(StreamSubscriber, Generic[JobT]):
    """Reads only into free slots; `Keeper` keeps the leases, `Settler` ends the deliveries."""

    kind: Kind
    keys: LaneKeys
    consumer: str
    concurrency: int
    redis: Redis
    scripts: Scripts
    settings: BusSettings
    schema_of_job: type[JobT]

    async def start(self) -> None:
        """Create the groups, then begin to read. Raises `redis.RedisError` when the server is away."""
        self.held: Held = {}
        self.last_read = time.monotonic()
        self._slot_freed = asyncio.Event()
        self._tracing = tracing_enabled()
        self._settler = Settler(self.scripts, self.keys, self.settings, self.consumer)
        self._keeper = keeper = Keeper(
            redis=self.redis,
            scripts=self.scripts,
            keys=self.keys,
            settings=self.settings,
            consumer=self.consumer,
            slots=self.concurrency,
            held=self.held,
            pace=Pace(),
            begin=self._begin,
        )
        await self._create_groups()
        await SubscriberUsecase.start(self)
        self._post_start()
        await keeper.beat()
        for step in (self._read, keeper.renew, keeper.reclaim, keeper.tend, keeper.report, keeper.listen):
            self.add_task(self._guard, (step,))

    async def stop(self) -> None:
        """Read no more, let jobs finish for the drain time, hand back the rest."""
        self.running = False
        jobs = list(self.held.values())
        if jobs:
            await asyncio.wait([job.task for job in jobs], timeout=self.settings.drain.total_seconds())
        left = list(self.held.values())
        for job in left:
            job.stop(Draining("the worker is stopping"))
        if left:
            await asyncio.wait([job.task for job in left], timeout=_STOP_S)
        await super().stop()
        try:
            await self.scripts.outbox.call("HDEL", self.keys.workers, self.consumer)
        except TRANSIENT:
            logger.warning("the server is away; this worker's report will expire by itself")

    async def _guard(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step for as long as we run; back off while the server is away or the group is gone."""
        pause = 0.05
        while self.running:
            try:
                await step()
                pause = 0.05
            except TRANSIENT as error:
                logger.warning("the server is away", extra={"lane": self.kind, "cause": type(error).__name__})
            except ResponseError as error:
                logger.warning("the server refused a command", extra={"lane": self.kind, "cause": str(error)[:200]})
                if "NOGROUP" in str(error):
                    await self._restore_groups()
            else:
                continue
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(pause * 2, 2.0)

    async def _create_groups(self) -> None:
        for stream in self.keys.streams:
            try:
                # At 0, not at the end: jobs that were put on the bus before the first worker are jobs too.
                await self.redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _restore_groups(self) -> None:
        try:
            await self._create_groups()
        except (RedisError, OSError) as error:
            logger.warning("the group cannot be created", extra={"lane": self.kind, "cause": type(error).__name__})

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        rounds = 0
        while self.running:
            free = self.concurrency - len(self.held)
            if free <= 0:
                self._slot_freed.clear()
                await self._slot_freed.wait()
                continue
            rounds += 1
            order = "321" if rounds % _BULK_FIRST_EVERY == 0 else "123"
            streams = self.keys.streams
            cancels, taken = await self.scripts.run(
                "take", (*streams, self.keys.cancelled), GROUP, self.consumer, free, order
            )
            self.last_read = time.monotonic()
            for lane, entries in taken:
                for entry, flat in entries:
                    self._begin(Delivery(lane - 1, entry, pairs_of(flat), 1, cancels > 0))
            if not taken:
                await self._wait_for_jobs()

    async def _wait_for_jobs(self) -> None:
        streams = self.keys.streams
        reply = await read_group(
            self.redis, GROUP, self.consumer, "COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS", *streams, ">", ">", ">"
        )
        self.last_read = time.monotonic()
        surplus: list[Delivery] = []
        for stream, entries in reply:
            for entry, fields in entries:
                delivery = Delivery(streams.index(stream.decode()), entry, fields, 1)
                # COUNT is per stream: three may come where one slot is free.
                if len(self.held) < self.concurrency:
                    self._begin(delivery)
                else:
                    surplus.append(delivery)
        if surplus:
            await self._settler.release(surplus)

    def _begin(self, delivery: Delivery) -> None:
        key = (delivery.lane, delivery.entry)
        if key in self.held:
            return
        task = asyncio.create_task(self._run(delivery))
        self.held[key] = Running(delivery, task)
        self._keeper.pace.begin(time.monotonic())
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: tuple[int, bytes], task: asyncio.Task[None]) -> None:
        self.held.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Nothing was settled: the lease runs out and somebody tries again.
            logger.error("a delivery was dropped", exc_info=error, extra={"lane": self.kind})
        self._keeper.pace.end(time.monotonic(), idle=not self.held)
        self._slot_freed.set()

    # -- one job ---------------------------------------------------------------------------------------------------

    async def _run(self, delivery: Delivery) -> None:
        try:
            envelope = open_envelope(delivery.fields)
            job = self.schema_of_job.model_validate_json(envelope.data)
            if job.kind != self.kind:
                raise ValueError(f"a job of kind {job.kind!r} is on the lane {self.kind!r}")
        except (ValidationError, ValueError) as error:
            await self._settler.bury_malformed(delivery, error)
            return
        attempt = envelope.attempt + delivery.deliveries
        work = Work(
            job,
            attempt=attempt,
            deadline_ms=min((d for d in (job.deadline_ms, envelope.deadline_ms) if d is not None), default=None),
            priority=PRIORITIES[delivery.lane],
            scripts=self.scripts,
            keys=self.keys,
            ttl_s=int(self.settings.output_ttl.total_seconds()),
        )
        running = self.held[(delivery.lane, delivery.entry)]
        running.job_id, running.work = job.id, work
        attempted = Attempt(delivery, envelope, job, work, attempt, now_ms())
        try:
            await self._attempt(attempted)
        except asyncio.CancelledError:
            # `Running.stop` cancels the task to interrupt a wait; the reason says what that means for the job.
            await self._interrupted(attempted)
        except Interrupted:
            await self._interrupted(attempted)

    async def _attempt(self, at: Attempt[JobT]) -> None:
        if at.number > self.settings.max_attempts:
            # Deliveries that never came back are attempts too: a job that kills its worker must not go on for ever.
            await self._settler.fail(at, Failure(f"The job was given up after {at.number - 1} attempts."), final=True)
            return
        if at.delivery.check_cancelled and await self._is_cancelled(at.job.id):
            await self._settler.end(at, "cancelled", error=cancelled().info())
            return
        late = None
        if at.work.deadline_ms is not None:
            left_s = at.work.deadline_ms / 1000 - time.time()
            running = self.held[(at.delivery.lane, at.delivery.entry)]
            reason = DeadlineExceeded("The deadline passed before the job was done.")
            if left_s <= 0:
                await self._settler.end(at, "expired", error=reason.info())
                return
            late = asyncio.get_running_loop().call_later(left_s, running.stop, reason)
        try:
            result = await self._handle(at)
        except AntiphonError as error:
            await self._failed(at, error)
        except TRANSIENT:
            # The bus itself was away in the middle of the job: that is nobody's failed attempt.
            await self._settler.hand_back(at)
        except (asyncio.CancelledError, Interrupted):
            raise
        except Exception as error:
            logger.exception("a handler failed", extra={"lane": self.kind, "job": at.job.id, "attempt": at.number})
            await self._failed(at, Failure(f"The {self.kind} job failed inside the server ({type(error).__name__})."))
        else:
            await self._settler.end(at, "completed", result=result)
        finally:
            if late is not None:
                late.cancel()

    async def _handle(self, at: Attempt[JobT]) -> Schema:
        message = {
            "type": "stream",
            "channel": self.keys.streams[at.delivery.lane],
            "message_ids": [at.delivery.entry],
            "data": at.delivery.fields,
            "attempt": at,
        }
        if not self._tracing:
            return await self._pass_on(message)
        carrier = {
            name: value
            for name, value in (("traceparent", at.envelope.traceparent), ("tracestate", at.envelope.tracestate))
            if value
        }
        with consumer_span(self.kind, at.job.id, carrier=carrier, attempt=at.number) as span:
            try:
                return await self._pass_on(message)
            except AntiphonError as error:
                mark_failed(span, type(error).__name__)
                raise

    async def _pass_on(self, message: dict[str, Any]) -> Schema:
        """Run the message through FastStream's middlewares to the handler."""
        response = await self.process_message(message)
        result: Schema = response.body
        return result

    async def _failed(self, at: Attempt[JobT], error: AntiphonError) -> None:
        if isinstance(error, Cancelled):
            await self._settler.end(at, "cancelled", error=error.info())
        elif isinstance(error, DeadlineExceeded):
            await self._settler.end(at, "expired", error=error.info())
        else:
            await self._settler.fail(at, error)

    async def _interrupted(self, at: Attempt[JobT]) -> None:
        reason = at.work.reason
        if isinstance(reason, AntiphonError):
            await self._failed(at, reason)
        elif not isinstance(reason, LeaseLost):
            await self._settler.hand_back(at)

    async def _is_cancelled(self, job_id: str) -> bool:
        return await self.scripts.outbox.call("ZSCORE", self.keys.cancelled, job_id) is not None


async def _parse(message: dict[str, Any]) -> RedisStreamMessage:
    at: Attempt[Any] = message["attempt"]
    return RedisStreamMessage(
        raw_message=message,
        body=at.envelope.data,
        headers={},
        content_type="application/json",
        correlation_id=at.job.id,
        message_id=at.job.id,
        consumer=None,  # type: ignore[arg-type]
        group=None,
    )


async def _decode(message: RedisStreamMessage) -> Attempt[Any]:
    attempt: Attempt[Any] = message.raw_message["attempt"]  # type: ignore[typeddict-item]
    return attempt


def subscribe(
    broker: RedisBroker,
    kind: Kind,
    schema: type[JobT],
    handler: Handler[JobT],
    *,
    redis: Redis,
    scripts: Scripts,
    settings: BusSettings,
    consumer: str,
    concurrency: int,
) -> LeasedSubscriber[JobT]:
    """Register `handler` for a lane on a FastStream broker; it starts and stops with the broker."""
    keys = LaneKeys(kind)
    stream = StreamSub(keys.jobs("std"), group=GROUP, consumer=consumer)
    calls: CallsCollection[Any] = CallsCollection()
    config = RedisSubscriberConfig(
        stream_sub=stream,
        no_reply=True,
        _outer_config=broker.config,  # type: ignore[arg-type]
        _ack_policy=AckPolicy.MANUAL,
    )
    specification = StreamSubscriberSpecification(
        broker.config,  # type: ignore[arg-type]
        RedisSubscriberSpecificationConfig(title_=f"{kind} jobs", description_=schema.__doc__, include_in_schema=True),
        calls,
        stream_sub=stream,
    )
    subscriber: LeasedSubscriber[JobT] = LeasedSubscriber(config, specification, calls)
    subscriber.kind, subscriber.keys, subscriber.consumer = kind, keys, consumer
    subscriber.concurrency, subscriber.redis, subscriber.scripts = concurrency, redis, scripts
    subscriber.settings, subscriber.schema_of_job = settings, schema
    Registrator.subscriber(broker, subscriber)
    subscriber.add_call(parser_=_parse, decoder_=_decode, dependencies_=())

    async def handle(attempt: Attempt[JobT]) -> Schema:
        return await handler(attempt.job, attempt.work)

    handle.__name__ = f"handle_{kind}"
    subscriber(handle)
    return subscriber
