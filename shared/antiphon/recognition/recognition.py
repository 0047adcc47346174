"""`transcribe` and `translate` jobs become transcripts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import ValidationError

from antiphon.audio.decode import DecodeLimits, DecoderPool, Pcm
from antiphon.audio.vad import VoiceModel
from antiphon.memory import share_arena
from antiphon.models import Catalogue, WeightStore
from antiphon.recognition.drivers import Drivers
from antiphon.recognition.engine import FRAME_SAMPLES, Task
from antiphon.recognition.loading import load_recognizer, models_for
from antiphon.recognition.requests import plan_for
from antiphon.recognition.settings import RecognitionSettings
from antiphon.recognition.state import Finding, RecognitionState, Step
from antiphon.recognition.transcription import Plan, Transcription
from antiphon.recognition.watch import Watch
from antiphon.schemas import Delta, TranscribeJob, Transcript, TranslateJob
from antiphon.telemetry.stages import open_stage, stage

if TYPE_CHECKING:
    from antiphon.blobs import Blobs
    from antiphon.recognition.attempt import Attempt

logger = logging.getLogger(__name__)

_UNHEARD_LANGUAGE = "en"
_VOICE_WEIGHTS = "silero-vad"
_PATIENCE = 16
"""How much more time on the clock a decoder has in the background, where it may hardly ever run."""


@asynccontextmanager
async def open_recognition(settings: RecognitionSettings, blobs: Blobs, *, task: Task) -> AsyncIterator[Recognition]:
    """Load every model for `task`, ready to work, and free them at the end.

    Raises `WeightsMissing` if weights are not on this machine, `InvalidValue` if the catalogue asks for what no engine
    has.
    """
    share_arena()
    catalogue = Catalogue.load(settings.models_file)
    store = WeightStore(settings.cache_dir)
    limits = DecodeLimits(max_s=settings.max_audio.total_seconds())
    async with AsyncExitStack() as stack:
        voice = await asyncio.to_thread(VoiceModel, store.folder(_VOICE_WEIGHTS))
        drivers = {}
        for model in models_for(catalogue, task):
            load = partial(load_recognizer, model, store=store, settings=settings)
            drivers[model.name] = await stack.enter_async_context(Drivers(load, apart=settings.bulk_apart, lane=task))
        decoders = await stack.enter_async_context(DecoderPool(limits, size=settings.decoders))
        await decoders.warm()
        patient = replace(limits, wall_s=_PATIENCE * limits.wall_s)
        behind = await stack.enter_async_context(DecoderPool(patient, size=settings.decoders, background=True))
        yield Recognition(
            task=task,
            catalogue=catalogue,
            drivers=drivers,
            blobs=blobs,
            decoders=decoders,
            bulk_decoders=behind,
            voice=voice,
        )


class Recognition:
    """Works on jobs of one kind. `drivers` holds the engine of each model of the catalogue by its name."""

    def __init__(
        self,
        *,
        task: Task,
        catalogue: Catalogue,
        drivers: Mapping[str, Drivers],
        blobs: Blobs,
        decoders: DecoderPool,
        bulk_decoders: DecoderPool,
        voice: VoiceModel,
    ) -> None:
        self._task = task
        self._catalogue = catalogue
        self._drivers = drivers
        self._blobs = blobs
        self.decoders = decoders
        self._bulk_decoders = bulk_decoders
        self._voice = voice

    async def transcript(self, job: TranscribeJob | TranslateJob, work: Attempt) -> Transcript:
        """Recognise the job's audio, telling the output what is found, from where an earlier attempt stopped.

        Raises `ModelNotFound` and `UnsupportedValue` before the audio is looked at, what decoding raises, and what
        `work.check` raises.
        """
        began_s = time.monotonic()
        model = self._catalogue.resolve(job.model, self._task)
        drivers = self._drivers[model.name]
        plan = plan_for(job.options, task=self._task, recognizer=drivers.recognizer)
        driver = await drivers.of(work.priority)
        decoders = self._bulk_decoders if work.priority == "bulk" else self.decoders
        state, steps = await _resume(work, plan)
        await _tell(work, state.findings, logprobs=plan.logprobs)
        async with AsyncExitStack() as stack:
            with stage("fetch", lane=self._task):
                path = await stack.enter_async_context(self._blobs.local(job.audio))
            decoding = stack.enter_context(open_stage("decode", lane=self._task))
            pcm = await stack.enter_async_context(decoders.decode(path))
            turns = stack.enter_context(driver.turns(job=job.id, priority=work.priority))
            watch = Watch(self._task, model, began_s=began_s, resumed_s=state.seek_s)
            recognising = stack.enter_context(watch.recognising(job.model, work.priority))
            try:
                work.check()
                async for after in Transcription(pcm, plan, turn=turns, voice=self._voice).states(state):
                    work.check()
                    # A recording that is too long or breaks off is refused now, not when its last window is reached.
                    pcm.check()
                    step, state = after.since(state), after
                    await _tell(work, step.findings, logprobs=plan.logprobs)
                    await _tell_progress(work, state, pcm)
                    if not _done(state, pcm):
                        await work.save_checkpoint(step.model_dump_json().encode(), index=steps)
                        steps += 1
                duration_s = await pcm.length() / pcm.sample_rate
            finally:
                watch.heard(min(state.seek_s, pcm.samples / pcm.sample_rate), turns, recognising)
            decoding.end(at_ns=pcm.ended_ns)
            watch.done(duration_s, recognising)
        return _transcript(plan, state, duration_s=duration_s)


async def _resume(work: Attempt, plan: Plan) -> tuple[RecognitionState, int]:
    """Return where earlier attempts stopped, and after how many steps."""
    state = plan.begin()
    steps = 0
    for saved in await work.load_checkpoint():
        try:
            state = state.add(Step.model_validate_json(saved))
        except ValidationError:
            # Written by another version: what it saved is only time.
            logger.warning("unreadable checkpoint", extra={"job": work.job_id, "step": steps})
            break
        steps += 1
    return state, steps


def _done(state: RecognitionState, pcm: Pcm) -> bool:
    return pcm.ended and state.seek >= pcm.samples // FRAME_SAMPLES


async def _tell_progress(work: Attempt, state: RecognitionState, pcm: Pcm) -> None:
    total_s = pcm.samples / pcm.sample_rate if pcm.ended else None
    await work.progress(state.seek_s if total_s is None else min(state.seek_s, total_s), total_s)


async def _tell(work: Attempt, findings: tuple[Finding, ...], *, logprobs: bool) -> None:
    for finding in findings:
        delta = Delta(delta=finding.text, logprobs=finding.logprobs if logprobs else None)
        await work.emit("delta", delta.model_dump_json().encode())


def _transcript(plan: Plan, state: RecognitionState, *, duration_s: float) -> Transcript:
    findings = state.findings
    candidates = [state.language, *plan.languages, _UNHEARD_LANGUAGE]
    return Transcript(
        task=plan.task,
        language=next(language for language in candidates if language),
        duration=duration_s,
        text=state.text,
        segments=tuple(finding.segment for finding in findings),
        words=tuple(word for finding in findings for word in finding.words) if plan.words else None,
        logprobs=tuple(token for finding in findings for token in finding.logprobs) if plan.logprobs else None,
        detected=state.language is not None,
        prompt_tokens=len(plan.opening) + len(plan.bias),
        output_tokens=sum(len(finding.segment.tokens) for finding in findings),
    )
