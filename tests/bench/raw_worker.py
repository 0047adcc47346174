"""The same job over redis-py alone, with none of the guarantees: read a batch, answer it in one pipeline."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import orjson
import uvloop
from redis.asyncio import Redis

from tests.bench.orders import answer, orders

JOBS, REPLIES, GROUP = "raw:jobs", "raw:replies", "workers"
_RESULT_TTL_S = 86_400


async def work(redis: Any, slots: int) -> None:
    """Read and answer until cancelled."""
    while True:
        reply = await redis.xreadgroup(GROUP, "raw", {JOBS: ">"}, count=slots, block=2000)
        entries = _entries(reply)
        if not entries:
            continue
        pipeline = redis.pipeline(transaction=False)
        for entry, fields in entries:
            job = orjson.loads(fields[b"data"])
            outcome = orjson.dumps(
                {"id": job["id"], "status": "completed", "result": {"text": "And so, my fellow Americans"}}
            )
            if b"reply" in fields:
                pipeline.xadd(REPLIES, {"id": job["id"], "data": outcome})
            else:
                pipeline.set("raw:result:" + job["id"], outcome, ex=_RESULT_TTL_S)
            pipeline.xack(JOBS, GROUP, entry)
        await pipeline.execute()


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    if isinstance(reply, dict):
        return [entry for chunks in reply.values() for chunk in chunks for entry in chunk]
    return [entry for _, entries in reply or () for entry in entries]


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: in Python 3.11 the client's `wait_for` may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)


async def main(redis_url: str, slots: int) -> None:
    """Obey `serve` and `stop`."""
    redis = Redis.from_url(redis_url)
    task: asyncio.Task[None] | None = None
    gc.collect()
    gc.freeze()
    async for order in orders():
        if order == "serve":
            await redis.xgroup_create(JOBS, GROUP, id="0", mkstream=True)
            task = asyncio.create_task(work(redis, slots))
        elif task is not None:
            await end(task)
            await redis.xgroup_destroy(JOBS, GROUP)
        answer(order)
    if task is not None:
        await end(task)
    await redis.aclose()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
