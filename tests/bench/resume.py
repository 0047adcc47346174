"""What the death of a worker costs a long recording: processor time of both workers, against one undisturbed."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import psutil

from antiphon.audio.samples import RECOGNITION_RATE
from antiphon.blobs import open_blobs
from antiphon.bus import Bus
from antiphon.schemas import Progress, RecognitionOptions, TranscribeJob
from antiphon.settings import BlobSettings, BusSettings
from tests.bench.clips import reading, write_wav
from tests.bench.figures import Aim, Figure
from tests.bench.peers import ROOT, store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from antiphon.bus import Call, Caller

PART = "resume: a recording whose worker is killed half-way, against the same undisturbed"
_LEASE = "PT2S"


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Compare the processor time after start-up, and the windows; the words must be the same."""
    minutes = 6 if quick else 30
    samples = await reading()
    samples = np.tile(samples, -(-minutes * 60 * RECOGNITION_RATE // len(samples)))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(store(folder))
        audio = write_wav(folder / "long.wav", samples[: minutes * 60 * RECOGNITION_RATE])
        environment = os.environ | {
            "REDIS_URL": url,
            "ANTIPHON_LEASE": _LEASE,
            "ANTIPHON_BLOB_URL": (folder / "blobs").as_uri(),
        }
        bus = await stack.enter_async_context(Bus.open(BusSettings(redis_url=url)))
        settings = BlobSettings(blob_url=environment["ANTIPHON_BLOB_URL"])
        blobs = await stack.enter_async_context(open_blobs(settings, bus.values))
        caller = await stack.enter_async_context(bus.caller())
        job = TranscribeJob(
            audio=await blobs.put(audio.read_bytes()),
            model="whisper-1",
            options=RecognitionOptions(language="en"),
            stream=True,
        )
        whole = await _undisturbed(caller, job, environment)
        killed = await _killed(caller, job, environment, half_s=minutes * 30)
    if killed.words != whole.words:
        raise RuntimeError("the successor heard something else")
    length = f"{minutes} min of audio"
    # One window is begun twice, which is a good part of a short recording.
    aim = None if quick else Aim("<=", 1.1)
    return [
        Figure(
            PART, f"processor time, {length}", "s", killed.cpu_s, whole.cpu_s, "ratio", killed.cpu_s / whole.cpu_s,
            aim,
        ),
        Figure(
            PART, f"windows, {length}", "windows", killed.windows, whole.windows, "ratio",
            killed.windows / whole.windows, aim,
        ),
    ]  # fmt: skip


class Run:
    """What one job took."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.windows = 0
        self.words: list[str] = []


class Transcriber:
    """A worker process and its decoders."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._usage = psutil.Process(process.pid)
        self._ready_s = self._total_s()

    def cpu_s(self) -> float:
        """Return the processor time used since it was ready, in seconds."""
        return self._total_s() - self._ready_s

    def _total_s(self) -> float:
        total = 0.0
        for process in (self._usage, *self._usage.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
        return total


@asynccontextmanager
async def _transcriber(environment: Mapping[str, str]) -> AsyncIterator[Transcriber]:
    """Run a transcriber; entered when it is ready, killed on leaving."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.transcriber", cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            while b'"ready"' not in (line := await process.stderr.readline()):
                if not line:
                    raise RuntimeError("the transcriber did not start")
        yield Transcriber(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _undisturbed(caller: Caller, job: TranscribeJob, environment: Mapping[str, str]) -> Run:
    run = Run()
    async with _transcriber(environment) as worker:
        call = await caller.submit(job)
        async for event in call.events():
            run.windows += event.kind == "progress"
        run.words = await _words(call)
        run.cpu_s = worker.cpu_s()
    return run


async def _killed(caller: Caller, job: TranscribeJob, environment: Mapping[str, str], *, half_s: float) -> Run:
    run = Run()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(_transcriber(environment))
        second: Transcriber | None = None
        call = await caller.submit(job.model_copy(update={"id": f"{job.id}-killed"}))
        async for event in call.events():
            if event.kind != "progress":
                continue
            run.windows += 1
            if second is None and Progress.model_validate_json(event.data).done >= half_s:
                # Somewhere in the next window, as a crash is.
                await asyncio.sleep(1)
                run.cpu_s = first.cpu_s()
                first.process.kill()
                await first.process.wait()
                second = await stack.enter_async_context(_transcriber(environment))
        run.words = await _words(call)
        if second is None:
            raise RuntimeError("the recording was over before its half")
        run.cpu_s += second.cpu_s()
    # The window under way at the kill was begun twice.
    run.windows += 1
    return run


async def _words(call: Call) -> list[str]:
    outcome = await call.outcome()
    if outcome.result is None:
        raise RuntimeError(f"the recording was not transcribed: {outcome.error}")
    return str(outcome.result["text"]).split()
