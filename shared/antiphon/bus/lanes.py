"""What an operator asks of the lanes: how late they are, who works on them, which jobs are on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson
from redis.exceptions import RedisError, ResponseError

from antiphon.bus.connection import pairs_of, rows_of, scored_of, unavailable
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.pace import reports_of
from antiphon.bus.wire import salvage_id, unpack
from antiphon.schemas import PRIORITIES, Kind, Priority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from antiphon.bus.outbox import Outbox

ALIVE_MS = 10_000
"""Age of the report of a worker that counts as living."""

_PAGE = 200


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane at one moment."""

    kind: Kind
    workers: int
    """Living worker processes."""
    slots: int
    """Jobs that they can hold together."""
    busy: int
    """Jobs that they hold."""
    rate: float
    """Jobs a second that they end while they have any."""
    backlog: dict[Priority, int]
    """Jobs that nobody has taken yet."""
    pending: int
    """Jobs in the hands of workers, also of dead ones."""
    delayed: int
    """Jobs that wait for another attempt."""
    dead: int
    """Dead letters."""
    oldest_s: float | None
    """Age of the oldest job that nobody has taken yet."""

    @property
    def waiting(self) -> int:
        """Jobs of all priorities that nobody has taken yet."""
        return sum(self.backlog.values())

    @property
    def estimate_s(self) -> float | None:
        """Seconds until the lane is empty at this pace; None when no worker has told its pace."""
        left = self.waiting + self.pending
        if not left:
            return 0.0
        return left / self.rate if self.rate > 0 else None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job that is on a lane now."""

    kind: Kind
    priority: Priority
    job_id: str
    tenant: str
    state: Literal["queued", "running", "delayed"]
    age_s: float
    """Since this entry was put on the lane; for a delayed job, seconds until it is due, negative."""
    attempts: int
    worker: str | None


class Lanes:
    """Looks at lanes without touching them. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def view(self, kind: Kind) -> LaneView:
        """Return the state of one lane."""
        try:
            return await self._view(LaneKeys(kind))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def jobs(self, kind: Kind, *, limit: int) -> AsyncIterator[JobView]:
        """Yield up to `limit` jobs that are on a lane: the running ones of each stream before the waiting ones."""
        left = limit
        try:
            for priority in PRIORITIES:
                async for job in self._jobs_of(LaneKeys(kind), priority):
                    if left <= 0:
                        return
                    left -= 1
                    yield job
            async for job in self._delayed(LaneKeys(kind), left):
                yield job
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def _view(self, keys: LaneKeys) -> LaneView:
        backlog: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        pending, oldest_ms = 0, None
        for priority in PRIORITIES:
            group = await self._group(keys.jobs(priority))
            if group is None:
                # Nobody has worked here yet: all of it waits.
                backlog[priority] = await self._outbox.call("XLEN", keys.jobs(priority))
                start = "-"
            else:
                backlog[priority] = group.get("lag") or 0
                pending += group["pending"]
                start = f"({group['last-delivered-id'].decode()}"
            if backlog[priority]:
                first: Any = await self._outbox.call("XRANGE", keys.jobs(priority), start, "+", "COUNT", 1)
                if first:
                    entered_ms = int(first[0][0].split(b"-")[0])
                    oldest_ms = entered_ms if oldest_ms is None else min(oldest_ms, entered_ms)
        now_ms = await self._now_ms(keys)
        reports = reports_of(await self._outbox.call("HGETALL", keys.workers)).values()
        living = [report for report in reports if now_ms - report.seen_ms < ALIVE_MS]
        return LaneView(
            kind=keys.kind,
            workers=len(living),
            slots=sum(report.slots for report in living),
            busy=sum(report.busy for report in living),
            rate=sum(report.rate for report in living),
            backlog=backlog,
            pending=pending,
            delayed=await self._outbox.call("ZCARD", keys.delayed),
            dead=await self._outbox.call("XLEN", keys.dead),
            oldest_s=None if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1000),
        )

    async def _jobs_of(self, keys: LaneKeys, priority: Priority) -> AsyncIterator[JobView]:
        stream = keys.jobs(priority)
        group = await self._group(stream)
        delivered = group["last-delivered-id"] if group else b"0-0"
        held = await self._held(stream) if group else {}
        now_ms = await self._now_ms(keys)
        start = "-"
        while True:
            page: Any = await self._outbox.call("XRANGE", stream, start, "+", "COUNT", _PAGE)
            for entry, flat in page:
                waits = _place(entry) > _place(delivered)
                # What was delivered and is held by nobody has ended; the stream is trimmed a little later.
                if not waits and entry not in held:
                    continue
                fields = flat if isinstance(flat, dict) else pairs_of(flat)
                worker, deliveries = held.get(entry, (None, 0))
                yield _job_view(
                    keys.kind,
                    priority,
                    fields,
                    place=f"{priority}_{entry.decode()}",
                    state="queued" if waits else "running",
                    age_s=(now_ms - _place(entry)[0]) / 1000,
                    attempts=deliveries,
                    worker=worker,
                )
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0].decode()}"

    async def _delayed(self, keys: LaneKeys, limit: int) -> AsyncIterator[JobView]:
        if limit <= 0:
            return
        now_ms = await self._now_ms(keys)
        rows = await self._outbox.call("ZRANGE", keys.delayed, 0, limit - 1, "WITHSCORES")
        for member, due_ms in scored_of(rows):
            index, *flat = unpack(member)
            fields = pairs_of([part for part in flat if isinstance(part, bytes)])
            yield _job_view(
                keys.kind,
                PRIORITIES[int(index) - 1],
                fields,
                place="delayed",
                state="delayed",
                age_s=(now_ms - due_ms) / 1000,
                attempts=0,
                worker=None,
            )

    async def _group(self, stream: str) -> dict[str, Any] | None:
        try:
            groups = rows_of(await self._outbox.call("XINFO", "GROUPS", stream))
        except ResponseError:
            return None
        return next((group for group in groups if group["name"] == GROUP.encode()), None)

    async def _held(self, stream: str) -> dict[bytes, tuple[str, int]]:
        rows: Any = await self._outbox.call("XPENDING", stream, GROUP, "-", "+", 10_000)
        return {entry: (consumer.decode(), deliveries) for entry, consumer, _, deliveries in rows}

    async def _now_ms(self, keys: LaneKeys) -> int:
        seconds, micros = await self._outbox.call_at(keys.workers, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000


def _job_view(
    kind: Kind,
    priority: Priority,
    fields: dict[bytes, bytes],
    *,
    place: str,
    state: Literal["queued", "running", "delayed"],
    age_s: float,
    attempts: int,
    worker: str | None,
) -> JobView:
    try:
        job = orjson.loads(fields.get(b"data", b""))
        tenant = str(job.get("tenant", "default")) if isinstance(job, dict) else ""
    except orjson.JSONDecodeError:
        tenant = ""
    earlier = fields.get(b"attempt", b"0")
    return JobView(
        kind=kind,
        priority=priority,
        job_id=salvage_id(fields, place),
        tenant=tenant,
        state=state,
        age_s=age_s,
        attempts=attempts + (int(earlier) if earlier.isdigit() else 0),
        worker=worker,
    )


def _place(entry: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)
