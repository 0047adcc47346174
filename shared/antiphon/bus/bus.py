"""The bus as a process sees it: one connection pool, one outbox, callers and lanes over them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from redis.exceptions import RedisError, ResponseError

from antiphon.bus.caller import Caller
from antiphon.bus.connection import connect, unavailable
from antiphon.bus.dead import DeadLetters
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.outbox import Outbox
from antiphon.bus.scripts import SCRIPTS, Scripts
from antiphon.bus.values import Values
from antiphon.schemas import Job, Kind
from antiphon.settings import process_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from antiphon.bus.work import Handler
    from antiphon.settings import BusSettings

JobT = TypeVar("JobT", bound=Job)

_ALIVE_MS = 10_000
"""Age of the report of a worker that counts as living."""


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """A lane at one moment."""

    workers: int
    """Living worker processes."""
    backlog: int
    """Jobs that nobody has taken yet."""
    pending: int
    """Jobs in the hands of workers."""
    delayed: int
    """Jobs that wait for another attempt."""
    dead: int
    """Dead letters."""


class Bus:
    """Everything a service does with Redis. `async with Bus.open(settings) as bus`."""

    def __init__(self, redis: Redis, scripts: Scripts, settings: BusSettings) -> None:
        self.redis = redis
        self.scripts = scripts
        self.settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: BusSettings) -> AsyncIterator[Bus]:
        """Connect lazily: a server that is away shows at the first command."""
        redis = connect(settings)
        try:
            async with Outbox(redis, SCRIPTS) as outbox:
                yield cls(redis, Scripts(outbox), settings)
        finally:
            await redis.aclose()

    @property
    def values(self) -> Values:
        """Small values with a life span."""
        return Values(self.scripts.outbox)

    def dead_letters(self, kind: Kind) -> DeadLetters:
        """Return the dead letters of a lane."""
        return DeadLetters(self.redis, self.scripts, kind)

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        """Publish jobs and await them under a name of this process's own."""
        caller = Caller(self.redis, self.scripts, self.settings, process_name())
        try:
            yield caller
        finally:
            await caller.close()

    @asynccontextmanager
    async def serve(
        self, kind: Kind, schema: type[JobT], handler: Handler[JobT], *, concurrency: int
    ) -> AsyncIterator[Any]:
        """Work on a lane until left; leaving drains it. Yields the running subscriber. Raises `Unavailable`."""
        # Only who works on jobs needs FastStream; a producer does without it.
        from faststream.redis import RedisBroker  # noqa: PLC0415

        from antiphon.bus.registration import subscribe  # noqa: PLC0415

        broker = RedisBroker(self.settings.redis_url, logger=None, apply_types=False)  # type: ignore[arg-type]
        subscriber = subscribe(
            broker,
            kind,
            schema,
            handler,
            redis=self.redis,
            scripts=self.scripts,
            settings=self.settings,
            consumer=process_name(),
            concurrency=concurrency,
        )
        try:
            try:
                await broker.start()
            except (RedisError, OSError) as error:
                raise unavailable(error) from error
            yield subscriber
        finally:
            await broker.stop()

    async def ping(self) -> None:
        """Ask the server for a sign of life. Raises `Unavailable`."""
        try:
            await self.scripts.outbox.call("PING")
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def attended(self, kind: Kind) -> bool:
        """Tell whether a worker of this lane lives or has lived a minute ago. Raises `Unavailable`."""
        try:
            return bool(await self.scripts.outbox.call("EXISTS", LaneKeys(kind).attended))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def status(self) -> dict[Kind, LaneStatus]:
        """Return the state of every lane. Raises `Unavailable`."""
        try:
            return {kind: await self._lane_status(LaneKeys(kind)) for kind in get_args(Kind)}
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def _lane_status(self, keys: LaneKeys) -> LaneStatus:
        backlog = pending = 0
        for stream in keys.streams:
            try:
                groups = await self.redis.xinfo_groups(stream)
            except ResponseError:
                continue
            for group in groups:
                if group["name"] == GROUP.encode():
                    backlog += group.get("lag") or 0
                    pending += group["pending"]
        seconds, micros = await self.redis.time()
        now = seconds * 1000 + micros // 1000
        reports: dict[bytes, bytes] = await self.scripts.outbox.call("HGETALL", keys.workers)
        workers = sum(now - int(report.split(b" ", 1)[0]) < _ALIVE_MS for report in reports.values())
        return LaneStatus(
            workers=workers,
            backlog=backlog,
            pending=pending,
            delayed=await self.redis.zcard(keys.delayed),
            dead=await self.redis.xlen(keys.dead),
        )
