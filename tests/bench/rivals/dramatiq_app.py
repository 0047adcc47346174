"""Dramatiq on Redis."""

# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return"

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from work import ARGUMENTS, REDIS_URL, RESULT, RESULT_TTL_S, obey

broker = RedisBroker(url=REDIS_URL)
results = RedisBackend(url=REDIS_URL, use_namespace_prefix_keys=True)
broker.add_middleware(Results(backend=results, result_ttl=RESULT_TTL_S * 1000))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def nothing(job: dict[str, object]) -> dict[str, str]:
    """Return at once."""
    return RESULT


def publish_one_by_one(jobs: int) -> None:
    """Publish as its guide shows it."""
    for _ in range(jobs):
        nothing.send(ARGUMENTS)


def publish_together(jobs: int) -> None:
    """Publish a group."""
    dramatiq.group([nothing.message(ARGUMENTS) for _ in range(jobs)]).run()


if __name__ == "__main__":
    obey({"single": publish_one_by_one, "bulk": publish_together})
