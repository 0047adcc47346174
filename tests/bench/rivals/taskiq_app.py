"""Taskiq on Redis, by the broker that acknowledges."""

# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return"

from __future__ import annotations

import asyncio

import uvloop
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker
from work import ARGUMENTS, AT_ONCE, REDIS_URL, RESULT, RESULT_TTL_S, obey

broker = RedisStreamBroker(url=REDIS_URL).with_result_backend(
    RedisAsyncResultBackend(redis_url=REDIS_URL, result_ex_time=RESULT_TTL_S, prefix_str="taskiq-result")
)


@broker.task(task_name="nothing")
async def nothing(job: dict[str, object]) -> dict[str, str]:
    """Return at once."""
    return RESULT


async def publish_one_by_one(jobs: int) -> None:
    """Publish as its guide shows it."""
    for _ in range(jobs):
        await nothing.kiq(ARGUMENTS)


async def publish_together(jobs: int) -> None:
    """It has no form for many: many calls at once."""
    for first in range(0, jobs, AT_ONCE):
        await asyncio.gather(*(nothing.kiq(ARGUMENTS) for _ in range(min(AT_ONCE, jobs - first))))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(broker.startup())
        obey(
            {
                "single": lambda jobs: runner.run(publish_one_by_one(jobs)),
                "bulk": lambda jobs: runner.run(publish_together(jobs)),
            }
        )
        runner.run(broker.shutdown())
