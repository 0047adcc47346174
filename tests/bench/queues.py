"""Small jobs by a plain producer, against other Python queues on the same server and the same two cores."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
from redis.asyncio import Redis

from tests.bench.contenders import Contender, contenders
from tests.bench.figures import Aim, Figure
from tests.bench.peers import Peer, store
from tests.bench.rounds import Sample, compare, take_turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from pathlib import Path

PART = "queues: jobs that do nothing, results kept, two cores"
FORMS = {"single": "published one by one", "bulk": "published in bulk"}

_WARM = 200
_LOOK_S = 0.01
_TURN_S = 300.0
_STOP_S = 20.0
_MIB = 2**20
_GROWTH_AIM = Aim("<=", 5.0)


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Compare from the first publish to the last result with the best of the others; then look at our memory."""
    jobs, rounds = (2_000, 1) if quick else (10_000, 3)
    with _two_cores():
        async with store(folder) as url:
            queues = await contenders(url)
            turns = {
                _side(queue, form): partial(_turn, queue, url, jobs=jobs, form=form)
                for queue in queues
                for form in FORMS
            }
            samples = await take_turns(turns, rounds=rounds, warm=False)
            return _figures(samples, queues) + await _memory(queues[0], url)


def _figures(samples: dict[str, list[Sample]], queues: Sequence[Contender]) -> list[Figure]:
    """Return a figure against the best of the others in each round, and one for each of them and each form."""
    ours, *others = queues
    fastest = {queue.name: _best(samples[_side(queue, form)] for form in FORMS) for queue in queues}
    figures = [
        _figure(
            "in the faster form of each, against the best of the others",
            fastest[ours.name],
            _best(fastest[queue.name] for queue in others),
            aim=Aim(">=", 3.0),
            note=f"({ours.name}: {ours.setup})",
        )
    ]
    for form, words in FORMS.items():
        figures += [
            _figure(
                f"{words}, against {queue.name}",
                samples[_side(ours, form)],
                samples[_side(queue, form)],
                note=f"({queue.setup})",
            )
            for queue in others
        ]
    return figures


def _figure(name: str, ours: list[Sample], theirs: list[Sample], *, aim: Aim | None = None, note: str) -> Figure:
    compared = compare(ours, theirs, "rate")
    return Figure(PART, name, "jobs/s", compared.ours, compared.baseline, "ratio", compared.ratio, aim, note)


def _best(sides: Iterable[list[Sample]]) -> list[Sample]:
    """Return the best rate of each round."""
    return [{"rate": max(sample["rate"] for sample in one_round)} for one_round in zip(*sides, strict=True)]


def _side(queue: Contender, form: str) -> str:
    return f"{queue.name} {form}"


async def _turn(queue: Contender, url: str, *, jobs: int, form: str) -> Sample:
    """Run its workers on an empty server; return jobs a second from the first publish to the last result."""
    async with _running(queue, url) as (redis, producer, _):
        await _publish(queue, redis, producer, _WARM, form=form, before=0)
        return {"rate": jobs / await _publish(queue, redis, producer, jobs, form=form, before=_WARM)}


async def _memory(ours: Contender, url: str) -> list[Figure]:
    """Look at our worker and the server after 1,000 and after 10,000 jobs."""
    looks: list[Sample] = []
    async with _running(ours, url) as (redis, producer, worker):
        for jobs in (1_000, 9_000):
            await _publish(ours, redis, producer, jobs, form="bulk", before=0)
            # Results are kept for as long as their owner asked for: what stays besides is what could pile up.
            await _forget(redis, ours.results)
            used: int = (await redis.info("memory"))["used_memory"]
            looks.append({"our worker": worker.memory_info().rss / _MIB, "the server, results apart": used / _MIB})
    first, last = looks
    return [
        Figure(
            PART,
            f"memory after 10,000 jobs, and after 1,000: {what}",
            "MiB",
            last[what],
            first[what],
            "difference",
            last[what] - first[what],
            _GROWTH_AIM,
        )
        for what in first
    ]


async def _publish(queue: Contender, redis: Any, producer: Peer, jobs: int, *, form: str, before: int) -> float:
    """Return seconds from the first publish to the last of `jobs` results, behind `before` earlier ones."""
    answer = await producer.tell(f"{form} {jobs}")
    async with asyncio.timeout(_TURN_S):
        ended = await _wait_results(queue, redis, before + jobs)
    return ended - float(answer.split()[0])


async def _wait_results(queue: Contender, redis: Any, wanted: int) -> float:
    """Return when the last result was there. Looks at one number at a time, so as not to take the server's."""
    while True:
        now = time.monotonic()
        ended = await redis.zcard(queue.queue) == 0 if queue.queue else await redis.dbsize() >= wanted
        if ended and await _count(redis, queue.results) >= wanted:
            return now
        await asyncio.sleep(_LOOK_S)


async def _count(redis: Any, pattern: str) -> int:
    return len({key async for key in redis.scan_iter(match=pattern, count=5_000)})


async def _forget(redis: Any, pattern: str) -> None:
    keys = [key async for key in redis.scan_iter(match=pattern, count=5_000)]
    for first in range(0, len(keys), 1_000):
        await redis.delete(*keys[first : first + 1_000])


@asynccontextmanager
async def _running(queue: Contender, url: str) -> AsyncIterator[tuple[Any, Peer, psutil.Process]]:
    """Yield an empty server, a producer and the first worker process."""
    redis = Redis.from_url(url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        await redis.flushall()
        workers = [await stack.enter_async_context(_process(command, queue, url)) for command in queue.workers]
        producer = await stack.enter_async_context(_process(queue.producer, queue, url))
        if queue.order is not None:
            for worker in workers:
                await Peer(worker).tell(queue.order)
        yield redis, Peer(producer), psutil.Process(workers[0].pid)


@asynccontextmanager
async def _process(command: tuple[str, ...], queue: Contender, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process that may have children; end all of them on leaving."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=queue.folder,
        env=os.environ | {"BENCH_REDIS_URL": url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@contextmanager
def _two_cores() -> Iterator[None]:
    """Keep this process, and what it starts, on two cores of the machine."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
