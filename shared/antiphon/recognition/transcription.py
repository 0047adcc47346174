"""Steps through a recording, window by window, while it is still being decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from antiphon.audio.samples import Samples
from antiphon.audio.speech_gate import GateOptions
from antiphon.audio.vad import VoiceModel
from antiphon.recognition.engine import (
    FRAME_SAMPLES,
    FRAMES_PER_S,
    MARGIN_SAMPLES,
    WINDOW_FRAMES,
    Decoded,
    Task,
    Window,
)
from antiphon.recognition.silence import Clip, Cutter, first_speech
from antiphon.recognition.state import RecognitionState

_OVERLAP_FRAMES = FRAMES_PER_S // 2
"""How much before speech, and of the end of a silent window, is heard: a word may begin there."""
_LONGEST_LEAD_FRAMES = 5 * FRAMES_PER_S
"""A model times the first words of a window within its first second, so a longer silence before them is left out."""
_CUTTING_SAMPLES = 10 * FRAMES_PER_S * FRAME_SAMPLES


class Sound(Protocol):
    """A recording, 16 kHz, that may still be growing."""

    async def available(self, samples: int) -> int:
        """Wait for `samples` samples or the end; return how many there are."""
        ...

    def read(self, start: int, stop: int) -> Samples:
        """Return the samples `start` to `stop`, as far as there are."""
        ...


class Turn(Protocol):
    """Lets a window be recognised when it is its turn."""

    async def decode(self, window: Window) -> Decoded:
        """Recognise `window`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a recording is to be recognised.

    Attributes:
        language: code of the speech; None to detect it.
        languages: what may be detected; empty for all.
        opening: tokens of the text that goes before the recording.
        bias: tokens of words to be expected.
        temperature: 0 for the fallback ladder.
        gate: cut at silences into independent clips; None to let each window continue the one before.
    """

    task: Task
    language: str | None = None
    languages: tuple[str, ...] = ()
    opening: tuple[int, ...] = ()
    bias: tuple[int, ...] = ()
    temperature: float = 0.0
    words: bool = False
    logprobs: bool = False
    gate: GateOptions | None = None

    def begin(self) -> RecognitionState:
        """Return the state before anything is recognised."""
        return RecognitionState(language=self.language, history=self.opening)


class Transcription:
    """One recording on its way through a recogniser."""

    def __init__(self, sound: Sound, plan: Plan, *, turn: Turn, voice: VoiceModel) -> None:
        self._sound = sound
        self._plan = plan
        self._turn = turn
        self._voice = voice

    async def states(self, state: RecognitionState) -> AsyncIterator[RecognitionState]:
        """Yield the state after each window, going on from `state`. Raises what the sound's decoding raises."""
        async for clip in self._clips():
            whole = self._plan.gate is not None and clip.start >= state.seek
            if whole:
                state = state.skip(clip.start)
            while (stop := await self._stop(state.seek, clip)) > state.seek:
                samples, lead = await self._read(state.seek, stop)
                speech = state.seek if whole else await self._speech(samples, lead, state.seek)
                whole = False
                if speech is None:
                    state = state.skip(stop if stop - state.seek < WINDOW_FRAMES else stop - _OVERLAP_FRAMES)
                elif speech - state.seek > _LONGEST_LEAD_FRAMES:
                    state = state.skip(speech - _OVERLAP_FRAMES)
                else:
                    state = state.follow(await self._turn.decode(self._window(state, clip, stop, samples, lead)))
                yield state

    async def _speech(self, samples: Samples, lead: int, seek: int) -> int | None:
        """Return the frame at which somebody begins to speak."""
        at = await asyncio.to_thread(first_speech, self._voice, samples)
        return None if at is None else seek + max(0, at - lead) // FRAME_SAMPLES

    async def _clips(self) -> AsyncIterator[Clip]:
        if self._plan.gate is None:
            yield Clip(0)
            return
        cutter = Cutter(self._voice, self._plan.gate)
        done = 0
        while (have := await self._sound.available(done + _CUTTING_SAMPLES)) > done:
            upto = min(have, done + _CUTTING_SAMPLES)
            samples = await asyncio.to_thread(self._sound.read, done, upto)
            for clip in await asyncio.to_thread(cutter.feed, samples):
                yield clip
            done = upto
        for clip in await asyncio.to_thread(cutter.finish, done):
            yield clip

    async def _stop(self, seek: int, clip: Clip) -> int:
        """Return where the window that starts at `seek` stops: not after it, when the clip is over."""
        stop = seek + WINDOW_FRAMES if clip.stop is None else min(seek + WINDOW_FRAMES, clip.stop)
        have = await self._sound.available(stop * FRAME_SAMPLES + MARGIN_SAMPLES)
        return min(stop, have // FRAME_SAMPLES)

    async def _read(self, seek: int, stop: int) -> tuple[Samples, int]:
        start = seek * FRAME_SAMPLES
        lead = min(start, MARGIN_SAMPLES)
        last = stop * FRAME_SAMPLES + MARGIN_SAMPLES
        return await asyncio.to_thread(self._sound.read, start - lead, last), lead

    def _window(self, state: RecognitionState, clip: Clip, stop: int, samples: Samples, lead: int) -> Window:
        plan = self._plan
        return Window(
            samples=samples,
            lead=lead,
            seek=state.seek,
            frames=stop - state.seek,
            task=plan.task,
            complete=stop == clip.stop,
            language=state.language,
            languages=plan.languages,
            history=plan.opening if plan.gate else state.history,
            bias=plan.bias,
            temperature=plan.temperature,
            words=plan.words,
            logprobs=plan.logprobs,
        )
