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

from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream.redis.subscriber.usecases import StreamSubscriber
from faststream.response import ensure_response
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from antiphon.bus.attempts import Attempt, Held, Running
from antiphon.bus.connection import TRANSIENT
from antiphon.bus.deliveries import Delivery, Pace
from antiphon.bus.figures import Figures
from antiphon.bus.intake import Intake
from antiphon.bus.keeping import Keeper
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.opening import open_job
from antiphon.bus.output import Output
from antiphon.bus.settlement import Settler
from antiphon.bus.steps import Steps
from antiphon.bus.tasks import end
from antiphon.bus.work import Busy, Draining, Ended, GivenUp, Interrupted, LeaseLost, Postponed, Work, cancelled
from antiphon.errors import AntiphonError, Cancelled, DeadlineExceeded, Failure
from antiphon.schemas import PRIORITIES, Job, Kind, Schema, now_ms
from antiphon.telemetry import carrier_of, consumer_span, tracing_enabled
from antiphon.telemetry.spans import mark_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faststream.response import Response

    from antiphon.bus.clock import ServerClock
    from antiphon.bus.policy import RetryPolicy
    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.bus.settlement import Settled
    from antiphon.settings import BusSettings
    from antiphon.telemetry.health import Health, Pulse

logger = logging.getLogger(__name__)

JobT = TypeVar("JobT", bound=Job)

_MAX_PAUSE_S = 1.0
"""Between two tries while the server is away."""

_AWAY = tuple(error for error in TRANSIENT if issubclass(error, RedisError))
"""What only the bus raises: an OSError may be the handler's own, a file or an upstream it has not found."""

_TELL_AGAIN_S = 10.0
"""Between two lines of the log about the same trouble."""

_STOP_S = 5.0
"""How long interrupted handlers may take to let go."""


class LeasedSubscriber(StreamSubscriber, Generic[JobT]):
    """`Intake` fills free slots, `Keeper` keeps the leases, `Settler` ends the deliveries."""

    kind: Kind
    keys: LaneKeys
    consumer: str
    concurrency: int
    servers: Servers
    scripts: Scripts
    settings: BusSettings
    schema_of_job: type[JobT]
    clock: ServerClock
    retry: RetryPolicy
    health: Health
    settled: Settled | None = None
    _started = False
    _refused_s = float("-inf")

    async def start(self) -> None:
        """Create the groups, then begin to read. Raises `redis.RedisError` when the server is away."""
        self.held: Held = {}
        self._figures = figures = Figures(self.kind, slots=self.concurrency, held=self.held)
        self._tracing = tracing_enabled()
        self._settler = Settler(
            self.scripts,
            self.keys,
            self.settings,
            self.consumer,
            retry=self.retry,
            settled=self.settled,
            figures=figures,
        )
        reading = self._pulse("read")
        self._intake = intake = Intake(
            servers=self.servers,
            scripts=self.scripts,
            keys=self.keys,
            consumer=self.consumer,
            slots=self.concurrency,
            held=self.held,
            begin=self._begin,
            release=self._settler.release,
            pulse=reading,
        )
        self._keeper = keeper = Keeper(
            servers=self.servers,
            scripts=self.scripts,
            keys=self.keys,
            settings=self.settings,
            consumer=self.consumer,
            slots=self.concurrency,
            held=self.held,
            pace=Pace(),
            taking=intake.taking,
            begin=self._take_over,
            clock=self.clock,
            bulk_room=intake.bulk_room,
        )
        self._started = True
        self._takers: list[asyncio.Task[None]] = []
        self._keepers: list[asyncio.Task[None]] = []
        await self._create_groups()
        await SubscriberUsecase.start(self)
        self._post_start()
        await keeper.beat()
        keeping = (keeper.renew, keeper.tend, keeper.report, keeper.listen)
        self._keepers = [asyncio.create_task(self._guard(step, self._pulse(step.__name__))) for step in keeping]
        self._takers = [
            asyncio.create_task(self._guard(intake.read, reading)),
            asyncio.create_task(self._guard(keeper.reclaim, self._pulse("reclaim"))),
        ]

    async def stop(self) -> None:
        """Take no more, let jobs finish for the drain time, hand back the rest. Leases are renewed until the end."""
        self.running = False
        if not self._started:
            return
        await end(self._takers)
        await self._intake.close()
        if jobs := list(self.held.values()):
            await asyncio.wait([job.task for job in jobs], timeout=self.settings.drain.total_seconds())
        if left := list(self.held.values()):
            for job in left:
                job.stop(Draining("the worker is stopping"))
            await asyncio.wait([job.task for job in left], timeout=_STOP_S)
        await end(self._keepers)
        self._figures.close()
        await super().stop()
        await self._keeper.line.close()
        try:
            # A read that was cut off may have been given jobs that never arrived here.
            await self._settler.leave()
        except (RedisError, OSError) as error:
            logger.warning("the server is away; what is held goes to peers when its lease ends", extra=_cause(error))

    def _pulse(self, loop: str) -> Pulse:
        # Between two turns of some of them lies a part of a lease.
        return self.health.loop(f"{self.kind} {loop}", pause_s=self.settings.lease.total_seconds())

    async def _guard(self, step: Callable[[], Awaitable[None]], pulse: Pulse) -> None:
        """Repeat a step until cancelled; back off while the server is away or the group is gone."""
        try:
            await self._repeat(step, pulse)
        finally:
            pulse.rest()

    async def _repeat(self, step: Callable[[], Awaitable[None]], pulse: Pulse) -> None:
        pause = 0.05
        # Who is back after a lease has lost it.
        longest = min(_MAX_PAUSE_S, self.settings.lease.total_seconds() / 4)
        while True:
            pulse.turn()
            try:
                await step()
                pause = 0.05
                continue
            except TRANSIENT as error:
                self.scripts.outbox.absence.note(error)
            except ResponseError as error:
                self._tell_refusal(error)
                if "NOGROUP" in str(error):
                    await self._restore_groups()
            except Exception:
                # A worker whose loops have died looks alive and does nothing.
                logger.exception("a loop failed; it goes on", extra={"lane": self.kind})
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(pause * 2, longest)

    def _tell_refusal(self, error: ResponseError) -> None:
        """Log it, but not at each try of each loop: a server that is full may stay so for hours."""
        now_s = time.monotonic()
        if now_s - self._refused_s >= _TELL_AGAIN_S:
            self._refused_s = now_s
            logger.warning("the server refused a command", extra={"lane": self.kind, **_cause(error)})

    async def _create_groups(self) -> None:
        for stream in self.keys.streams:
            try:
                # At 0, not at the end: jobs that were put on the bus before the first worker are jobs too.
                await self.scripts.outbox.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
            except ResponseError as error:
                # A full server refuses the command itself, whether or not the group is there.
                full = isinstance(error, OutOfMemoryError)
                if "BUSYGROUP" not in str(error) and not (full and await self._has_group(stream)):
                    raise

    async def _has_group(self, stream: str) -> bool:
        try:
            return bool(await self.scripts.outbox.call("XINFO", "GROUPS", stream))
        except ResponseError:
            return False

    async def _restore_groups(self) -> None:
        try:
            await self._create_groups()
        except (RedisError, OSError) as error:
            logger.warning("the group cannot be created", extra={"lane": self.kind, "cause": type(error).__name__})

    def _begin(self, delivery: Delivery) -> None:
        self._figures.job_taken(delivery, now_ms=self.clock.now_ms())
        self._hold(delivery)

    def _take_over(self, delivery: Delivery) -> None:
        self._figures.job_taken_over()
        self._hold(delivery)

    def _hold(self, delivery: Delivery) -> None:
        key = (delivery.lane, delivery.entry)
        if key in self.held:
            return
        task = asyncio.create_task(self._run(delivery))
        now_s = time.monotonic()
        self.held[key] = Running(delivery, task, began_s=now_s)
        self._keeper.pace.begin(now_s)
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: tuple[int, bytes], task: asyncio.Task[None]) -> None:
        running, now_s = self.held.pop(key), time.monotonic()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Nothing was settled: the lease runs out and somebody tries again.
            logger.error("a delivery was dropped", exc_info=error, extra={"lane": self.kind})
            self._figures.attempt_ended("lost")
        self._figures.attempt_lasted(now_s - running.began_s)
        self._keeper.pace.end(now_s, idle=not self.held)
        self._intake.freed.set()
        self._keeper.free_slot()

    # -- one job ---------------------------------------------------------------------------------------------------

    async def _run(self, delivery: Delivery) -> None:
        try:
            envelope, job = open_job(delivery, self.kind, self.schema_of_job)
        except Exception as error:
            await self._settler.bury_malformed(delivery, error)
            return
        attempt = envelope.attempt + delivery.deliveries
        ttl_s = int(self.settings.output_ttl.total_seconds())
        running = self.held[(delivery.lane, delivery.entry)]
        output = None
        if job.stream:
            output = Output(
                self.scripts,
                self.keys,
                job_id=job.id,
                delivery=delivery,
                consumer=self.consumer,
                ttl_s=ttl_s,
                began=lambda: self._figures.output_began(time.monotonic() - running.began_s),
            )
        work = Work(
            job,
            attempt=attempt,
            deadline_ms=min((d for d in (job.deadline_ms, envelope.deadline_ms) if d is not None), default=None),
            priority=PRIORITIES[delivery.lane],
            scripts=self.scripts,
            keys=self.keys,
            output=output,
            steps=Steps(self.scripts, self.keys, job=job, delivery=delivery, consumer=self.consumer, ttl_s=ttl_s),
            clock=self.clock,
        )
        if job.tracked or job.parent is not None:
            work.begin()
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
        if at.number > self.retry.max_attempts:
            # Deliveries that never came back are attempts too: a job that kills its worker must not go on for ever.
            await self._settler.fail(at, Failure(f"The job was given up after {at.number - 1} attempts."), final=True)
            return
        late = None
        if at.work.deadline_ms is not None:
            left_s = (at.work.deadline_ms - self.clock.now_ms()) / 1000
            running = self.held[(at.delivery.lane, at.delivery.entry)]
            reason = DeadlineExceeded("The deadline passed before the job was done.")
            if left_s <= 0:
                await self._settler.end(at, "expired", error=reason.info())
                return
            late = asyncio.get_running_loop().call_later(left_s, running.stop, reason)
        try:
            if at.delivery.check_cancelled and await self._is_cancelled(at.job.id):
                raise cancelled()
            result = (await self._handle(at)).model_dump()
        except (AntiphonError, GivenUp) as error:
            await self._failed(at, error)
        except _AWAY:
            # The bus itself was away in the middle of the job, which need not wait for another attempt.
            await self._settler.hand_back(at)
        except Postponed as postponed:
            at.work.stop(postponed)
            raise
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
        with consumer_span(
            self.kind,
            at.job.id,
            carrier=carrier_of(at.envelope.traceparent, at.envelope.tracestate),
            attempt=at.number,
            group=GROUP,
            again=at.envelope.replayed,
        ) as span:
            try:
                return await self._pass_on(message)
            except Interrupted:
                raise
            except Exception as error:
                mark_error(span, error.error if isinstance(error, GivenUp) else error)
                raise

    async def _pass_on(self, message: dict[str, Any]) -> Schema:
        """Run the message through FastStream's middlewares to the handler."""
        response = await self.process_message(message)
        result: Schema = response.body
        return result

    async def process_message(self, msg: Any) -> Response:
        """Do what FastStream does with a message, without what it does for middlewares where there are none."""
        if self._broker_middlewares or len(self.calls) != 1:
            return await super().process_message(msg)
        call = self.calls[0]
        message = await call.is_suitable(msg, {})
        if message is None or call.handler._publishers:
            return await super().process_message(msg)
        response = ensure_response(await call.call(message=message, _extra_middlewares=()))
        response.correlation_id = response.correlation_id or message.correlation_id
        return response

    async def _failed(self, at: Attempt[JobT], error: AntiphonError | GivenUp) -> None:
        if isinstance(error, GivenUp):
            await self._settler.fail(at, error.error, final=True)
        elif isinstance(error, Cancelled):
            await self._settler.end(at, "cancelled", error=error.info())
        elif isinstance(error, DeadlineExceeded):
            await self._settler.end(at, "expired", error=error.info())
        else:
            await self._settler.fail(at, error)

    async def _interrupted(self, at: Attempt[JobT]) -> None:
        reason = at.work.reason
        if isinstance(reason, AntiphonError):
            await self._failed(at, reason)
        elif isinstance(reason, Ended):
            # Whatever is said here, the result that is visible already stays, and answers this copy's caller too.
            await self._settler.end(at, "cancelled", error=cancelled().info())
        elif isinstance(reason, Busy):
            await self._settler.postpone(at)
        elif isinstance(reason, Postponed):
            await self._settler.postpone(at, delay_s=reason.delay_s)
        elif isinstance(reason, LeaseLost):
            self._figures.lease_lost()
            self._figures.attempt_ended("lost")
        else:
            await self._settler.hand_back(at)

    async def _is_cancelled(self, job_id: str) -> bool:
        return await self.scripts.outbox.call("ZSCORE", self.keys.cancelled, job_id) is not None


def _cause(error: Exception) -> dict[str, str]:
    return {"cause": f"{type(error).__name__}: {error}"[:200]}
