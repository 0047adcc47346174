"""Our queue and four others: how each one's workers and producer are started on two cores, and what it leaves."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.settings import WorkerSettings
from tests.bench.environments import environment
from tests.bench.peers import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

RIVALS = ROOT / "tests" / "bench" / "rivals"


@dataclass(frozen=True)
class Contender:
    """A queue with workers for two cores. Commands are run in `folder`."""

    name: str
    setup: str
    """How its workers are run, in words."""
    workers: tuple[tuple[str, ...], ...]
    producer: tuple[str, ...]
    folder: Path
    results: str
    """Pattern of the keys that hold a result each."""
    order: str | None = None
    """What a worker is told on its standard input before it begins."""
    queue: str | None = None
    """Sorted set of the jobs that have not ended, for a queue that keeps a key for each of those as well."""


async def contenders(redis_url: str) -> list[Contender]:
    """Return all, ours first. The first time this installs the others."""
    slots = WorkerSettings.model_fields["concurrency"].default
    return [
        Contender(
            name="antiphon",
            setup=f"2 processes, one for each core as the others have, of {slots} slots, the default",
            workers=((sys.executable, "-m", "tests.bench.bus_worker", redis_url, str(slots)),) * 2,
            producer=(sys.executable, "-m", "tests.bench.queue_producer", redis_url),
            folder=ROOT,
            results="result:*",
            order="serve",
        ),
        await _rival(
            "taskiq",
            "taskiq-redis, streams with acknowledgement: 2 processes of 100 tasks, the default",
            ["taskiq", "worker", "taskiq_app:broker", "--workers", "2", "--log-level", "ERROR"],
            results="taskiq-result:*",
        ),
        await _rival(
            "celery",
            "prefork of 2, as many as cores, the default; prefetch 128, as its guide advises for short tasks",
            ["celery", "-A", "celery_app", "worker", "--concurrency", "2", "--loglevel", "ERROR"],
            results="celery-task-meta-*",
        ),
        await _rival(
            "dramatiq",
            "2 processes, as many as cores, of 8 threads: the default",
            ["dramatiq", "dramatiq_app", "--processes", "2", "--threads", "8"],
            results="dramatiq-results:*",
        ),
        await _rival(
            "arq",
            "2 processes of 100 jobs that look 100 times a second; by default 10 jobs, twice a second",
            ["arq", "arq_app.WorkerSettings"],
            processes=2,
            results="arq:result:*",
            queue="arq:queue",
        ),
    ]


async def _rival(
    name: str, setup: str, worker: Sequence[str], *, results: str, processes: int = 1, queue: str | None = None
) -> Contender:
    programs = await environment(name)
    return Contender(
        name=name,
        setup=setup,
        workers=((str(programs / worker[0]), *worker[1:]),) * processes,
        producer=(str(programs / "python"), f"{name}_app.py"),
        folder=RIVALS,
        results=results,
        queue=queue,
    )
