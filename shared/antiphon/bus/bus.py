"""The bus as a process sees it: one outbox, callers and lanes over them."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from redis.exceptions import RedisError

from antiphon.bus.allowances import Allowances
from antiphon.bus.batches import Batches
from antiphon.bus.caller import Caller
from antiphon.bus.clock import ServerClock
from antiphon.bus.connection import memory_of, unavailable
from antiphon.bus.dead import DeadLetters
from antiphon.bus.events import EventReader
from antiphon.bus.following import FollowedEvent, Following
from antiphon.bus.index import Index
from antiphon.bus.keys import LaneKeys
from antiphon.bus.lanes import JobView, Lanes, LaneView
from antiphon.bus.records import Records
from antiphon.bus.registry import Journal, Registry, shared_secret
from antiphon.bus.scripts import SCRIPTS, Scripts
from antiphon.bus.servers import connect
from antiphon.bus.session_door import SessionDoor
from antiphon.bus.session_host import SessionHost
from antiphon.bus.values import Values
from antiphon.schemas import Job, Kind
from antiphon.settings import process_name
from antiphon.telemetry.health import Health

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta

    from antiphon.bus.policy import RetryPolicy
    from antiphon.bus.servers import Servers
    from antiphon.bus.settlement import Settled
    from antiphon.bus.work import Handler
    from antiphon.settings import BusSettings

JobT = TypeVar("JobT", bound=Job)

_SEEN_S = 1.0
"""How long a lane that has a worker is not asked about again; one that dies is missed a minute later anyway."""


class Bus:
    """Everything a service does with Redis. `async with Bus.open(settings) as bus`."""

    def __init__(self, servers: Servers, scripts: Scripts, settings: BusSettings, health: Health) -> None:
        self.servers = servers
        self.scripts = scripts
        self.settings = settings
        self.records = Records(scripts.outbox)
        self.batches = Batches(scripts.outbox)
        self._health = health
        self._clock = ServerClock()
        self._attended_s: dict[Kind, float] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: BusSettings, *, health: Health | None = None) -> AsyncIterator[Bus]:
        """Connect lazily: a server that is away shows at the first command. `health` is told how the loops do."""
        health = health or Health()
        servers = connect(settings)
        try:
            async with servers.outbox(SCRIPTS) as outbox:
                health.store_away_s = outbox.absence.seconds
                yield cls(servers, Scripts(outbox), settings, health)
        finally:
            await servers.close()

    @property
    def values(self) -> Values:
        """Small values with a life span."""
        return Values(self.scripts.outbox)

    @property
    def allowances(self) -> Allowances:
        """What is left of the limits of keys."""
        return Allowances(self.scripts)

    def now_ms(self) -> int:
        """Return the server's clock in epoch milliseconds, as far as this process knows it."""
        return self._clock.now_ms()

    def registry(self, name: str) -> Registry:
        """Return the things of that name that owners have."""
        return Registry(self.scripts.outbox, name)

    def journal(self, name: str, ttl: timedelta, cap: int) -> Journal:
        """Return the histories of that name: about `cap` entries each, until `ttl` after the last."""
        return Journal(self.scripts.outbox, name, ttl, cap)

    def index(self, name: str, ttl: timedelta, cap: int) -> Index:
        """Return the ids of that name that owners have: the last `cap` of each, until `ttl` after the last."""
        return Index(self.scripts.outbox, name, ttl, cap)

    async def shared_secret(self, name: str) -> bytes:
        """Return 32 random bytes, made once and the same for all processes. Raises `Unavailable`."""
        return await shared_secret(self.scripts.outbox, name)

    def follow(
        self, kind: Kind, job_id: str, *, after: str = "0-0", streamed: bool = True, idle_s: float
    ) -> AsyncIterator[FollowedEvent | None]:
        """Yield what becomes of a job: its output behind entry `after` if it is streamed, else its progress.

        None stands for `idle_s` seconds of silence. The last event has the kind `outcome`. Raises `NotFound` when a
        tracked job is deleted meanwhile, `Unavailable`.
        """
        following = Following(self.servers, self.scripts.outbox, kind, job_id, after=after)
        return following.events(streamed=streamed, idle_s=idle_s)

    @asynccontextmanager
    async def events(
        self, group: str, *, kinds: Sequence[Kind], consumer: str | None = None
    ) -> AsyncIterator[EventReader]:
        """Read what is announced on some lanes, as one consumer of a group."""
        reader = EventReader(
            self.servers,
            self.scripts.outbox,
            group=group,
            consumer=consumer or process_name(),
            kinds=kinds,
            lease=self.settings.lease,
        )
        try:
            yield reader
        finally:
            await reader.close()

    async def lanes(self) -> dict[Kind, LaneView]:
        """Return the state of every lane. Raises `Unavailable`."""
        lanes = Lanes(self.scripts.outbox)
        return {kind: await lanes.view(kind) for kind in get_args(Kind)}

    def jobs(self, kind: Kind, *, limit: int) -> AsyncIterator[JobView]:
        """Yield jobs that are on a lane now. Raises `Unavailable`."""
        return Lanes(self.scripts.outbox).jobs(kind, limit=limit)

    def dead_letters(self, kind: Kind) -> DeadLetters:
        """Return the dead letters of a lane."""
        return DeadLetters(self.scripts, kind)

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        """Publish jobs and await them under a name of this process's own."""
        caller = Caller(
            self.servers, self.scripts, self.settings, process_name(), clock=self._clock, health=self._health
        )
        try:
            yield caller
        finally:
            await caller.close()

    def session_door(self, *, refresh_s: float = 30.0, longest_pause_s: float = 0.01) -> SessionDoor:
        """Return what writes the input and reads the output of live sessions whose clients are at this process.

        `async with` runs it. It says every `refresh_s` that they are still there; with many sessions it lets up to
        `longest_pause_s` pass between two rounds, so that more goes with each.
        """
        return SessionDoor(
            self.servers,
            self.scripts,
            process_name(),
            refresh_s=refresh_s,
            longest_pause_s=longest_pause_s,
            pulse=self._health.loop("session outputs", pause_s=refresh_s),
        )

    def session_host(self, *, refresh_s: float = 30.0, longest_pause_s: float = 0.01) -> SessionHost:
        """Return what holds live sessions in this process: reads their input, writes their output and snapshots.

        `async with` runs it. A door that has said nothing for two and a half times `refresh_s` counts as dead.
        """
        return SessionHost(
            self.servers,
            self.scripts,
            process_name(),
            refresh_s=refresh_s,
            longest_pause_s=longest_pause_s,
            pulse=self._health.loop("session inputs", pause_s=refresh_s),
        )

    @asynccontextmanager
    async def serve(
        self,
        kind: Kind,
        schema: type[JobT],
        handler: Handler[JobT],
        *,
        concurrency: int,
        retry: RetryPolicy | None = None,
        settled: Settled | None = None,
    ) -> AsyncIterator[Any]:
        """Work on a lane until left; leaving drains it. Yields the running subscriber. Raises `Unavailable`.

        `retry` is the lane's own policy in place of the settings'. `settled` is told of each job that ended here.
        """
        # Only who works on jobs needs FastStream; a producer does without it.
        from faststream.redis import RedisBroker  # noqa: PLC0415

        from antiphon.bus.registration import subscribe  # noqa: PLC0415

        settings = self.settings
        # Of the broker only the shell is used; the connections are the bus's own.
        broker = RedisBroker(logger=None, apply_types=False)  # type: ignore[arg-type]
        subscriber = subscribe(
            broker,
            kind,
            schema,
            handler,
            servers=self.servers,
            scripts=self.scripts,
            settings=settings,
            consumer=process_name(),
            concurrency=concurrency,
            clock=self._clock,
            retry=retry,
            settled=settled,
            health=self._health,
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
        """Ask for a sign of life of all servers that have keys. Raises `Unavailable`."""
        try:
            await self.scripts.outbox.check()
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def memory(self) -> tuple[int, int]:
        """Return the bytes that the servers use, and those they may use, 0 for any number. Raises `Unavailable`."""
        try:
            reports = await self.scripts.outbox.everywhere("INFO", "memory")
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return memory_of(reports)

    async def attended(self, kind: Kind) -> bool:
        """Tell whether a worker of this lane lives or has lived a minute ago. Raises `Unavailable`."""
        if time.monotonic() - self._attended_s.get(kind, -_SEEN_S) < _SEEN_S:
            return True
        try:
            found = bool(await self.scripts.outbox.call("EXISTS", LaneKeys(kind).attended))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        if found:
            self._attended_s[kind] = time.monotonic()
        return found
