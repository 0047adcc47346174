"""What the bus costs over redis-py: from publishing to the result, and how fast one worker drains a backlog."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from antiphon.bus import Bus, LaneKeys
from antiphon.settings import BusSettings
from tests.bench.bus_callers import call_bus, closed_loop, make_job, raw_caller
from tests.bench.figures import Aim, Figure
from tests.bench.peers import Peer, peer, store
from tests.bench.raw_worker import GROUP, JOBS
from tests.bench.rounds import Sample, compare, take_turns

if TYPE_CHECKING:
    from pathlib import Path

PART = "bus: a job that does nothing, against redis-py without guarantees"
Samples = dict[str, list[Sample]]

_SLOTS = 32
_LOOK_S = 0.01


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Return the figures of the bus. The server runs in `folder`."""
    async with (
        store(folder) as url,
        peer("tests.bench.bus_worker", url, str(_SLOTS)) as ours,
        peer("tests.bench.raw_worker", url, str(_SLOTS)) as raw,
    ):
        await ours.tell("serve")
        await raw.tell("serve")
        figures: list[Figure] = []
        async with Bus.open(BusSettings(redis_url=url)) as bus, bus.caller() as caller, raw_caller(url) as plain:
            for in_flight, jobs, rounds in ((1, 100, 11), (32, 800, 11)) if quick else ((1, 200, 25), (32, 1600, 25)):
                samples = await take_turns(
                    {
                        "ours": partial(
                            closed_loop, partial(call_bus, caller), jobs=jobs, in_flight=in_flight, worker=ours
                        ),
                        "raw": partial(closed_loop, plain.call, jobs=jobs, in_flight=in_flight, worker=raw),
                    },
                    rounds=rounds,
                )
                figures += _loop_figures(samples, in_flight)
        await ours.tell("stop")
        await raw.tell("stop")
        figures += await _drain(url, ours, raw, jobs=6_000 if quick else 20_000, rounds=3 if quick else 5)
        return figures


def _loop_figures(samples: Samples, in_flight: int) -> list[Figure]:
    where = f"{in_flight} in flight"
    figures = [
        _ratio(samples, f"publish → result, {where}, p50", "p50", "ms", Aim("<=", 1.5)),
        _ratio(samples, f"publish → result, {where}, p99", "p99", "ms"),
    ]
    if in_flight > 1:
        figures += [
            _ratio(samples, f"jobs, {where}", "rate", "jobs/s"),
            _ratio(samples, f"worker's processor time, {where}", "worker", "µs/job"),
            _ratio(samples, f"caller's processor time, {where}", "caller", "µs/job"),
        ]
    return figures


async def _drain(url: str, ours: Peer, raw: Peer, *, jobs: int, rounds: int) -> list[Figure]:
    redis = Redis.from_url(url)
    try:
        samples = await take_turns(
            {
                "ours": partial(_drain_once, redis, ours, LaneKeys("transcribe").jobs("bulk"), jobs),
                "raw": partial(_drain_once, redis, raw, JOBS, jobs),
            },
            rounds=rounds,
        )
    finally:
        await redis.aclose()
    return [
        _ratio(samples, "drained by one worker", "rate", "jobs/s", Aim(">=", 0.35)),
        _ratio(samples, "worker's processor time, draining", "worker", "µs/job"),
    ]


async def _drain_once(redis: Any, worker: Peer, stream: str, jobs: int) -> Sample:
    """Queue a backlog, let the worker loose on it, and take the time from a tenth to nine tenths."""
    await redis.flushall()
    for _ in range(jobs // 500):
        pipeline = redis.pipeline(transaction=False)
        for _ in range(500):
            pipeline.xadd(stream, {"data": make_job().model_dump_json()})
        await pipeline.execute()
    await worker.tell("serve")
    first, last = jobs // 10, jobs * 9 // 10
    begin = await _wait_done(redis, worker, stream, jobs, first)
    end = await _wait_done(redis, worker, stream, jobs, last)
    await _wait_done(redis, worker, stream, jobs, jobs)
    await worker.tell("stop")
    done = end[0] - begin[0]
    return {"rate": done / (end[1] - begin[1]), "worker": (end[2] - begin[2]) / done * 1e6}


async def _wait_done(redis: Any, worker: Peer, stream: str, jobs: int, wanted: int) -> tuple[int, float, float]:
    """Wait until `wanted` jobs are acknowledged; return how many are, when, and the worker's processor time."""
    async with asyncio.timeout(120):
        while True:
            done = await _count_done(redis, stream, jobs)
            if done >= wanted:
                return done, time.perf_counter(), worker.cpu_s()
            await asyncio.sleep(_LOOK_S)


async def _count_done(redis: Any, stream: str, jobs: int) -> int:
    try:
        groups = await redis.xinfo_groups(stream)
    except ResponseError:
        return 0
    for group in groups:
        if group["name"] == GROUP.encode():
            return jobs - int(group["lag"] or 0) - int(group["pending"])
    return 0


def _ratio(samples: Samples, name: str, figure: str, unit: str, aim: Aim | None = None) -> Figure:
    compared = compare(samples["ours"], samples["raw"], figure)
    return Figure(PART, name, unit, compared.ours, compared.baseline, "ratio", compared.ratio, aim)
