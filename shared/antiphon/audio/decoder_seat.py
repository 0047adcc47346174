"""A place for one decoder process: it takes jobs from the queue, and fills itself anew when the process is gone."""

from __future__ import annotations

import asyncio
import signal

from antiphon.audio.decode_job import UNSUPPORTED, DecodeJob
from antiphon.audio.decode_limits import DecodeLimits
from antiphon.audio.decoder_child import DecoderChild, DecoderGone
from antiphon.audio.decoder_protocol import Report, Request, Word
from antiphon.errors import AudioTooLong, InvalidAudio, Unavailable

STOPPING = "The service is stopping."
NO_AUDIO = "The file has no audio track."
CORRUPT = "The audio file could not be decoded. It may be corrupted."
TOO_COSTLY = "The audio file could not be decoded within the limits on time and memory."
TOO_LONG = "audio duration is longer than {:g} seconds which is the maximum"

_REFUSALS = {Word.UNDECODABLE: UNSUPPORTED, Word.NO_AUDIO: NO_AUDIO, Word.OUT_OF_MEMORY: TOO_COSTLY}


class DecoderSeat:
    """Runs jobs of `jobs` one after the other until its `task` is cancelled."""

    def __init__(self, jobs: asyncio.Queue[DecodeJob], limits: DecodeLimits, *, background: bool = False) -> None:
        self.child: DecoderChild | None = None
        self.idle = False
        self._jobs = jobs
        self._limits = limits
        self._background = background
        self._served = 0
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._serve(), name="decoder seat")

    async def ready(self) -> None:
        """Wait until the first process is warm. Raises `Unavailable`."""
        await asyncio.shield(self._ready)

    async def _serve(self) -> None:
        try:
            while True:
                await self._occupy()
                job = await self._next_job()
                await self._run(job)
                if self._served >= self._limits.jobs:
                    await self._vacate()
        finally:
            await self._vacate()

    async def _next_job(self) -> DecodeJob:
        self.idle = True
        try:
            return await self._jobs.get()
        finally:
            self.idle = False

    async def _occupy(self) -> DecoderChild | None:
        """Return the process, started if there is none; None when it cannot be started."""
        if self.child is None:
            try:
                self.child = await DecoderChild.start(self._limits, background=self._background)
            except (DecoderGone, OSError):
                if not self._ready.done():
                    self._ready.set_exception(_not_started())
                    self._ready.exception()  # Marks it as seen: most often nobody waits for it.
            else:
                self._served = 0
                if not self._ready.done():
                    self._ready.set_result(None)
        return self.child

    async def _vacate(self) -> int | None:
        """End the process, if there is one, and return its exit code."""
        child, self.child = self.child, None
        return None if child is None else await child.close()

    async def _run(self, job: DecodeJob) -> None:
        try:
            # A second time only if the process was already dead when the job came, which is not the job's fault.
            for _ in range(2):
                child = None if job.pcm.ended else await self._occupy()
                if child is not None:
                    await self._follow(job, child)
        finally:
            job.end(_not_started())

    async def _follow(self, job: DecodeJob, child: DecoderChild) -> None:
        """Let `child` decode the job. Ends the job, unless the process never began it."""
        begun = False
        request = Request(job.container.name, max_samples=self._limits.max_samples, cpu_s=self._limits.cpu_s)
        job.on_abandon(child.kill)
        try:
            async with asyncio.timeout(self._limits.wall_s):
                child.give(request, source=job.source, spool=job.spool)
                while not job.pcm.ended:
                    report = await child.report()
                    begun = True
                    if job.pcm.ended:
                        # Given up while the report was on its way. The process is being killed, and what else it may
                        # have said must not be taken for the next job's.
                        raise DecoderGone
                    self._apply(report, job)
            self._served += 1
        except TimeoutError:
            job.end(InvalidAudio(TOO_COSTLY, param="file"))
            await self._vacate()
        except DecoderGone:
            code = await self._vacate()
            if begun:
                job.end(InvalidAudio(TOO_COSTLY if code == -signal.SIGXCPU else CORRUPT, param="file"))
        except asyncio.CancelledError:
            job.end(Unavailable(STOPPING))
            raise

    def _apply(self, report: Report, job: DecodeJob) -> None:
        if report.word in (Word.PROGRESS, Word.DONE):
            job.pcm.grow(report.samples)
        if report.word is Word.DONE:
            job.end()
        elif report.word is Word.TOO_LONG:
            job.end(AudioTooLong(TOO_LONG.format(self._limits.max_s), param="file"))
        elif report.word in _REFUSALS:
            job.end(InvalidAudio(_REFUSALS[report.word], param="file"))
        elif report.word is Word.NO_SPACE:
            job.end(Unavailable("There is no room to decode the audio."))


def _not_started() -> Unavailable:
    return Unavailable("The audio decoder cannot be started.")
