"""Celery on Redis."""

# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return"

from __future__ import annotations

from celery import Celery, group
from work import ARGUMENTS, RESULT, RESULT_TTL_S, SOCKET, obey

app = Celery("rival", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}")
app.conf.update(
    result_expires=RESULT_TTL_S,
    # What its guide to optimizing says about many short tasks.
    worker_prefetch_multiplier=128,
    broker_connection_retry_on_startup=True,
)


@app.task(name="nothing")
def nothing(job: dict[str, object]) -> dict[str, str]:
    """Return at once."""
    return RESULT


def publish_one_by_one(jobs: int) -> None:
    """Publish as the first steps show it."""
    for _ in range(jobs):
        nothing.delay(ARGUMENTS)


def publish_together(jobs: int) -> None:
    """Publish a group."""
    group(nothing.s(ARGUMENTS) for _ in range(jobs)).apply_async()


if __name__ == "__main__":
    obey({"single": publish_one_by_one, "bulk": publish_together})
