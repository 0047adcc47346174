"""Two ways to publish jobs and await their outcomes: the bus, and redis-py with one reply stream."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from redis.asyncio import Redis

from antiphon.schemas import BlobRef, TranscribeJob
from tests.bench.raw_worker import JOBS, REPLIES, end
from tests.bench.rounds import percentile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from antiphon.bus import Caller
    from tests.bench.peers import Peer
    from tests.bench.rounds import Sample


def make_job() -> TranscribeJob:
    """Return a job as the door makes it."""
    return TranscribeJob(audio=BlobRef(uri="data:,"), model="whisper-1")


async def call_bus(caller: Caller) -> None:
    """Publish a job and await its outcome."""
    call = await caller.submit(make_job())
    outcome = await call.outcome()
    assert outcome.status == "completed"


class RawCaller:
    """Publishes with XADD; one task reads the reply stream and resolves futures by job id."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: dict[str, asyncio.Future[Any]] = {}

    async def call(self) -> None:
        """Publish a job and await its outcome."""
        job = make_job()
        future = self._waiting[job.id] = asyncio.get_running_loop().create_future()
        await self._redis.xadd(JOBS, {"data": job.model_dump_json(), "reply": REPLIES})
        outcome = await future
        assert outcome["status"] == "completed"

    async def read(self) -> None:
        """Read replies until cancelled."""
        last = b"0-0"
        while True:
            reply = await self._redis.xread({REPLIES: last}, block=2000)
            chunks = reply.values() if isinstance(reply, dict) else [[entries] for _, entries in reply or ()]
            for entries in chunks:
                for entry, fields in entries[0]:
                    last = entry
                    self._waiting.pop(fields[b"id"].decode()).set_result(orjson.loads(fields[b"data"]))


@asynccontextmanager
async def raw_caller(redis_url: str) -> AsyncIterator[RawCaller]:
    """Connect and read replies until left."""
    redis = Redis.from_url(redis_url)
    await redis.delete(REPLIES)
    caller = RawCaller(redis)
    task = asyncio.create_task(caller.read())
    try:
        yield caller
    finally:
        await end(task)
        await redis.aclose()


async def closed_loop(call: Callable[[], Awaitable[None]], *, jobs: int, in_flight: int, worker: Peer) -> Sample:
    """Keep `in_flight` calls going until `jobs` are done; return milliseconds, jobs a second, µs of processor a job."""
    waits_ms: list[float] = []
    left = jobs

    async def loop() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            start = time.perf_counter()
            await call()
            waits_ms.append((time.perf_counter() - start) * 1e3)

    start, mine, theirs = time.perf_counter(), time.process_time(), worker.cpu_s()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(loop())
    took_s = time.perf_counter() - start
    return {
        "p50": percentile(waits_ms, 0.5),
        "p99": percentile(waits_ms, 0.99),
        "rate": jobs / took_s,
        "caller": (time.process_time() - mine) / jobs * 1e6,
        "worker": (worker.cpu_s() - theirs) / jobs * 1e6,
    }
