"""Recordings of several windows: resuming, stopping, taking turns."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.samples import Samples
from antiphon.errors import Cancelled
from antiphon.schemas import Chunking
from tests.integration.recognition.clips import Clip
from tests.integration.recognition.conftest import Bench, Desk

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


class Stopped(Exception):
    """What the worker's death is in these tests."""


def die_after(windows: int) -> object:
    def die(desk: Desk) -> None:
        if desk.saved == windows:
            raise Stopped

    return die


@pytest.mark.parametrize("chunking", [None, Chunking()])
async def test_a_successor_goes_on_from_the_last_window(bench: Bench, reading: Path, chunking: Chunking | None) -> None:
    job = await bench.job(reading, language="en", words=True, chunking=chunking)
    undisturbed = Desk(job)
    whole = await bench.transcriber.transcript(job, undisturbed)
    assert undisturbed.saved >= 1

    killed = Desk(job, on_checkpoint=die_after(1))  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        await bench.transcriber.transcript(job, killed)
    successor = Desk(job, checkpoint=killed.steps)
    assert await bench.transcriber.transcript(job, successor) == whole
    assert successor.said == whole.text
    assert successor.saved == undisturbed.saved - 1
    assert successor.steps == undisturbed.steps


async def test_an_unreadable_checkpoint_costs_only_time(bench: Bench, clips: dict[str, Clip]) -> None:
    job = await bench.job(clips["en_pv_leopard_test.wav"].path)
    transcript = await bench.transcriber.transcript(job, Desk(job, checkpoint=[b"{", b"{}"]))
    assert clips["en_pv_leopard_test.wav"].errors(transcript.text)[0] == 0


async def test_a_cancelled_job_stops_between_windows(bench: Bench, reading: Path) -> None:
    job = await bench.job(long(await samples(bench, reading)), language="en")
    desk = Desk(job, on_checkpoint=lambda desk: desk.stop(Cancelled("The job was cancelled.")))
    with pytest.raises(Cancelled):
        await bench.transcriber.transcript(job, desk)
    assert desk.saved == 1


async def test_a_task_that_is_cancelled_leaves_nothing_behind(
    bench: Bench, reading: Path, clips: dict[str, Clip]
) -> None:
    job = await bench.job(reading)
    task = asyncio.create_task(bench.transcriber.transcript(job, Desk(job)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    transcript = await bench.transcribe(clips["en_ms_weather.wav"].path)
    assert clips["en_ms_weather.wav"].errors(transcript.text)[0] == 0


async def test_a_short_job_is_done_while_long_ones_are_under_way(
    bench: Bench, reading: Path, clips: dict[str, Clip]
) -> None:
    audio = long(await samples(bench, reading))
    jobs = [await bench.job(audio, language="en") for _ in range(3)]
    windows: list[str] = []
    begun = asyncio.Event()

    def note(desk: Desk) -> None:
        windows.append("long")
        begun.set()

    tasks = [asyncio.create_task(bench.transcriber.transcript(job, Desk(job, on_checkpoint=note))) for job in jobs]
    await asyncio.wait_for(begun.wait(), 120)
    before = len(windows)
    short = await bench.transcribe(clips["en_ms_weather.wav"].path, language="en")
    between = len(windows) - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert clips["en_ms_weather.wav"].errors(short.text)[0] == 0
    # What was under way when it came, and what runs alongside.
    assert between <= 2 * 2 * len(jobs) // 2


async def test_bulk_jobs_say_the_same_and_their_threads_give_way(bench: Bench, clips: dict[str, Clip]) -> None:
    clip = clips["en_pv_leopard_test.wav"]
    job = await bench.job(clip.path, language="en")
    transcript = await bench.transcriber.transcript(job, Desk(job, priority="bulk"))
    assert transcript.text == (await bench.transcribe(clip.path, language="en")).text
    if sys.platform == "linux":
        # Those of the model; none that holds the interpreter's lock, for which all others would wait.
        assert len(given_way()) >= 2
        assert given_way().isdisjoint(thread.native_id for thread in threading.enumerate())


def given_way() -> set[int]:
    """Return the threads of this process that run only when no other one wants to."""
    threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    return {thread for thread in threads if os.sched_getscheduler(thread) == os.SCHED_IDLE}


async def test_many_jobs_at_once_each_get_their_own_text(bench: Bench, clips: dict[str, Clip]) -> None:
    names = ["en_jfk.flac", "en_ms_weather.wav", "en_pv_leopard_test.wav", "en_librivox_0890.wav"] * 2
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(bench.transcribe(clips[name].path, language="en")) for name in names]
    for name, task in zip(names, tasks, strict=True):
        assert clips[name].errors(task.result().text)[0] == 0


async def samples(bench: Bench, path: Path) -> Samples:
    async with bench.transcriber.decoders.decode(path) as pcm:
        return pcm.read(0, await pcm.length())


def long(reading: Samples) -> Samples:
    """Return about two minutes."""
    return np.concatenate([reading] * 3)
