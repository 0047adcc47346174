"""Arq."""

# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return"

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import uvloop
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from work import ARGUMENTS, AT_ONCE, RESULT, RESULT_TTL_S, SOCKET, obey

SETTINGS = RedisSettings(unix_socket_path=SOCKET)
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def nothing(context: dict[str, Any], job: dict[str, object]) -> dict[str, str]:
    """Return at once."""
    return RESULT


class WorkerSettings:
    """For many small jobs: by default it would start ten, twice a second."""

    functions: ClassVar[list[Any]] = [nothing]
    redis_settings = SETTINGS
    keep_result = RESULT_TTL_S
    max_jobs = 100
    poll_delay = 0.01
    log_results = False


async def publish_one_by_one(pool: ArqRedis, jobs: int) -> None:
    """Publish as its guide shows it."""
    for _ in range(jobs):
        await pool.enqueue_job("nothing", ARGUMENTS)


async def publish_together(pool: ArqRedis, jobs: int) -> None:
    """It has no form for many: many calls at once."""
    for first in range(0, jobs, AT_ONCE):
        await asyncio.gather(*(pool.enqueue_job("nothing", ARGUMENTS) for _ in range(min(AT_ONCE, jobs - first))))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pool: ArqRedis = runner.run(create_pool(SETTINGS))
        obey(
            {
                "single": lambda jobs: runner.run(publish_one_by_one(pool, jobs)),
                "bulk": lambda jobs: runner.run(publish_together(pool, jobs)),
            }
        )
