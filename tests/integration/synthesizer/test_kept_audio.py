"""Audio that nobody waits for: it lies in a blob when the job has ended, and nowhere before."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.blobs import Blobs
from antiphon.errors import Cancelled
from antiphon.schemas import SynthesizeJob
from services.synthesizer.handlers import Synthesize
from tests.integration.synthesizer.conftest import Desk
from tests.integration.synthesizer.hearing import decode

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

TEXT = "The birch canoe slid on the smooth planks. Rice is often served in round bowls. It was easy for us."


def _job(text: str = TEXT, *, stream: bool = False) -> SynthesizeJob:
    return SynthesizeJob(text=text, model="hibari", voice="alloy", format="wav", stream=stream)


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


async def test_a_job_that_is_not_streamed_leaves_its_audio_in_a_blob(synthesize: Synthesize, blobs: Blobs) -> None:
    job = _job()
    desk = Desk(job)
    speech = await synthesize(job, desk)
    assert desk.events == []
    assert speech.audio is not None
    assert (speech.audio.size, speech.audio.media_type) == (speech.size, "audio/wav")
    samples, rate = decode(await blobs.read(speech.audio), format="wav")
    assert len(samples) / rate == pytest.approx(speech.duration, abs=0.01)


@pytest.mark.parametrize("stream", [False, True])
async def test_progress_is_told_in_characters_up_to_the_end(synthesize: Synthesize, stream: bool) -> None:
    job = _job("It cost $3.50, said Dr. Smith. " * 3 + "That was in 1999.", stream=stream)
    desk = Desk(job)
    speech = await synthesize(job, desk)
    assert (speech.audio is None) == stream
    done = [done for done, _ in desk.told]
    assert len(done) > 2
    assert done == sorted(set(done))
    assert {total for _, total in desk.told} == {len(job.text)}
    assert done[-1] == len(job.text)


async def test_an_attempt_that_ends_early_leaves_no_blob(synthesize: Synthesize, folder: Path) -> None:
    before = _files(folder)

    class Stopping(Desk):
        """Stops when the first part of the text has been spoken."""

        async def progress(self, done: float, total: float | None) -> None:
            self.stop(Cancelled("The job was cancelled."))
            await super().progress(done, total)

    job = _job()
    with pytest.raises(Cancelled):
        await synthesize(job, Stopping(job))
    assert _files(folder) == before
