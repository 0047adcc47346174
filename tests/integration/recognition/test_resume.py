"""A worker process is killed in the middle of a recording."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from antiphon.blobs import open_blobs
from antiphon.bus import Bus
from antiphon.schemas import Progress, RecognitionOptions, TranscribeJob, Transcript
from antiphon.settings import BlobSettings, BusSettings
from tests.integration.recognition.clips import wav_of
from tests.integration.recognition.conftest import Bench, Desk
from tests.servers import programs, running
from tests.workers import worker

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


async def test_the_successor_of_a_killed_worker_goes_on_at_its_last_window(bench: Bench, reading: Path) -> None:
    async with bench.transcriber.decoders.decode(reading) as pcm:
        audio = wav_of(np.concatenate([pcm.read(0, await pcm.length())] * 2))
    undisturbed = await bench.job(audio, language="en", words=True)
    desk = Desk(undisturbed)
    whole = await bench.transcriber.transcript(undisturbed, desk)
    windows = sum(kind == "progress" for kind, _ in desk.events)

    with running(programs()["valkey"]) as server, worker("transcriber", server) as first:
        settings = BusSettings(redis_url=server.url)
        async with Bus.open(settings) as bus, open_blobs(BlobSettings(), bus.values) as blobs, bus.caller() as caller:
            job = TranscribeJob(
                audio=await blobs.put(audio),
                model="whisper-1",
                options=RecognitionOptions(language="en", words=True),
                stream=True,
            )
            call = await caller.submit(job)
            before: list[float] = []
            after: list[float] = []
            with ExitStack() as successors:
                async with asyncio.timeout(200):
                    async for event in call.events():
                        if event.kind != "progress":
                            continue
                        (after if first.poll() else before).append(Progress.model_validate_json(event.data).done)
                        if before[-1] > whole.duration / 2 and first.poll() is None:
                            first.kill()
                            first.wait()
                            successors.enter_context(worker("transcriber", server))
                outcome = await call.outcome()

    assert outcome.result is not None
    assert Transcript.model_validate(outcome.result) == whole
    assert outcome.attempts == 2
    # One window may have been told but not yet kept when the worker was killed.
    assert before[-1] <= after[0]
    assert len(before) + len(after) <= windows + 1
