"""What one tenant's batch does to another's waiting calls."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, TypeVar

from antiphon.blobs import open_blobs
from antiphon.bus import Bus
from antiphon.schemas import RecognitionOptions, TranscribeJob
from antiphon.settings import BlobSettings, BusSettings
from tests.bench.clips import cut_clips
from tests.bench.figures import Aim, Figure
from tests.bench.requests import transcribe
from tests.bench.rounds import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import httpx

    from antiphon.bus import Caller
    from tests.bench.clips import Clip
    from tests.bench.platform import Door

PART = "fairness: waiting calls of one tenant while another has a batch on the bus"
_T = TypeVar("_T")

_CALLERS = (1, 4)
_AIM = Aim("<=", 1.2)
_AT_ONCE = 200
_LOOK_S = 0.2
_SETTLE_S = 8.0
"""After the first jobs of a batch are taken: their copy of the model is loaded by then."""


async def measure(door: Door, folder: Path, *, quick: bool) -> list[Figure]:
    """Compare the 95th percentile with that before and after the batch. `folder` takes the clips."""
    if door.redis_url is None:
        raise RuntimeError("the bus of the platform is not known")
    jobs, calls = (500, 20) if quick else (5_000, 60)
    clips = await cut_clips(folder)
    figures = []
    async with door.client() as client, Bus.open(BusSettings(redis_url=door.redis_url)) as bus, bus.caller() as caller:
        await _latencies(client, clips, callers=4, calls=8)
        for callers in _CALLERS:
            before = await _latencies(client, clips, callers=callers, calls=calls)
            batch = await _publish(bus, caller, clips, jobs)
            await asyncio.sleep(_SETTLE_S)
            during = await _latencies(client, clips, callers=callers, calls=calls)
            # Alone once more while nothing waits: how fast the batch is when it has the cores.
            done = await _ended(bus, batch)
            started_s = time.perf_counter()
            await asyncio.sleep(_SETTLE_S * 2)
            rate = (await _ended(bus, batch) - done) / (time.perf_counter() - started_s)
            await _clear(bus, caller, batch)
            after = await _latencies(client, clips, callers=callers, calls=calls)
            figures += _figures(callers, jobs, before + after, during)
            figures.append(Figure(PART, f"batch with {callers} callers gone", "jobs/s", rate, None, "value", rate))
    return figures


def _figures(callers: int, jobs: int, alone: Sequence[float], during: Sequence[float]) -> list[Figure]:
    who = f"{callers} caller{'s' if callers > 1 else ''}, {jobs:,} batch jobs"
    figures = []
    for name, part, aim in (("p50", 0.5, None), ("p95", 0.95, _AIM)):
        ours, theirs = percentile(during, part) * 1e3, percentile(alone, part) * 1e3
        figures.append(Figure(PART, f"{name}, {who}", "ms", ours, theirs, "ratio", ours / theirs, aim))
    return figures


async def _latencies(client: httpx.AsyncClient, clips: Sequence[Clip], *, callers: int, calls: int) -> list[float]:
    """Return the seconds of each call; a caller makes its next one when it has the answer."""
    left = iter(list(itertools.islice(itertools.cycle(clips), calls)))
    seconds: list[float] = []

    async def call() -> None:
        for clip in left:
            start = time.perf_counter()
            await transcribe(client, clip, language="en")
            seconds.append(time.perf_counter() - start)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    return seconds


async def _publish(bus: Bus, caller: Caller, clips: Sequence[Clip], count: int) -> list[str]:
    async with open_blobs(BlobSettings(), bus.values) as blobs:
        audio = [await blobs.put(clip.data) for clip in clips]
    batch = [
        TranscribeJob(
            tenant="batch", audio=each, model="whisper-1", options=RecognitionOptions(language="en"), announce=False
        )
        for each in itertools.islice(itertools.cycle(audio), count)
    ]
    for jobs in _groups(batch):
        await asyncio.gather(*(caller.publish(job, priority="bulk") for job in jobs))
    return [job.id for job in batch]


async def _clear(bus: Bus, caller: Caller, batch: Sequence[str]) -> None:
    """Cancel what is left and wait until nothing of it runs."""
    for ids in _groups(batch):
        await asyncio.gather(*(caller.cancel("transcribe", job_id) for job_id in ids))
    async with asyncio.timeout(120):
        while await _ended(bus, batch) < len(batch):
            await asyncio.sleep(_LOOK_S)


async def _ended(bus: Bus, batch: Sequence[str]) -> int:
    ended = 0
    for ids in _groups(batch):
        outcomes = await bus.records.outcomes("transcribe", ids)
        ended += sum(outcome is not None for outcome in outcomes)
    return ended


def _groups(things: Sequence[_T]) -> list[Sequence[_T]]:
    return [things[start : start + _AT_ONCE] for start in range(0, len(things), _AT_ONCE)]
