"""Seconds of audio transcribed a second: through the door with several callers, against bare faster-whisper."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.bench.clips import english_paths, read_clips, weights
from tests.bench.figures import Aim, Figure
from tests.bench.requests import transcribe
from tests.bench.rounds import Sample, compare, take_turns

if TYPE_CHECKING:
    import httpx

    from tests.bench.clips import Clip
    from tests.bench.platform import Door

PART = "throughput: seconds of audio transcribed a second"
_CALLERS = (1, 4, 16)
_BEAM = 5


async def measure(door: Door, *, quick: bool) -> list[Figure]:
    """Compare callers of the door with faster-whisper in this process, one clip after the other on all cores."""
    clips = list(itertools.islice(itertools.cycle(await read_clips(english_paths())), 16))
    model = await asyncio.to_thread(_load)
    await _bare(model, clips[:1])
    async with door.client() as client:
        await transcribe_all(client, clips[:2], callers=2)
        samples = await take_turns(
            {
                "bare": partial(_bare, model, clips),
                **{str(n): partial(transcribe_all, client, clips, callers=n) for n in _CALLERS},
            },
            rounds=1 if quick else 5,
            warm=False,
        )
    figures = []
    for callers in _CALLERS:
        compared = compare(samples[str(callers)], samples["bare"], "speed")
        name = f"{callers} caller{'s' if callers > 1 else ''}, against faster-whisper"
        figures.append(
            Figure(PART, name, "x real time", compared.ours, compared.baseline, "ratio", compared.ratio, Aim(">=", 0.9))
        )
    return figures


async def measure_replicas(one: Door, two: Door, *, quick: bool) -> list[Figure]:
    """Compare two transcribers on one core each (`two`) with one on two cores, under eight callers."""
    clips = list(itertools.islice(itertools.cycle(await read_clips(english_paths())), 16))
    async with one.client() as first, two.client() as second:
        await transcribe_all(first, clips[:2], callers=2)
        await transcribe_all(second, clips[:4], callers=4)
        samples = await take_turns(
            {
                "one": partial(transcribe_all, first, clips, callers=8),
                "two": partial(transcribe_all, second, clips, callers=8),
            },
            rounds=1 if quick else 7,
            warm=False,
        )
    compared = compare(samples["two"], samples["one"], "speed")
    return [
        Figure(
            PART,
            "2 transcribers (half the threads each) against 1, 8 callers",
            "x real time",
            compared.ours,
            compared.baseline,
            "ratio",
            compared.ratio,
        )
    ]


async def transcribe_all(client: httpx.AsyncClient, clips: list[Clip], *, callers: int) -> Sample:
    """Let so many callers share the clips."""
    left = iter(clips)

    async def call() -> None:
        for clip in left:
            await transcribe(client, clip)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    return {"speed": sum(clip.duration_s for clip in clips) / (time.perf_counter() - start)}


async def _bare(model: Any, clips: list[Clip]) -> Sample:
    def run() -> None:
        for clip in clips:
            segments, _ = model.transcribe(str(clip.path), beam_size=_BEAM)
            for _ in segments:
                pass

    start = time.perf_counter()
    await asyncio.to_thread(run)
    return {"speed": sum(clip.duration_s for clip in clips) / (time.perf_counter() - start)}


def _load() -> Any:
    from faster_whisper import WhisperModel

    folder = weights().folder("whisper-base")
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1)
