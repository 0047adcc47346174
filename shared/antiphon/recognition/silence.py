"""Where nobody speaks. A recogniser that is given silence invents words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from antiphon.audio.samples import Samples
from antiphon.audio.speech_gate import FRAME_SAMPLES as STEP_SAMPLES
from antiphon.audio.speech_gate import GateOptions, Span, SpeechGate
from antiphon.audio.vad import VoiceDetector, VoiceModel
from antiphon.recognition.engine import FRAME_SAMPLES, WINDOW_FRAMES

_AUDIBLE = 0.35
"""Probability of voice from which a step may be speech: low, since a window is lost when it is missed."""
_AUDIBLE_STEPS = 3
"""Steps of 32 ms in a row that are speech; fewer are a click."""


def first_speech(model: VoiceModel, samples: Samples) -> int | None:
    """Return at which of `samples`, shape (n,), 16 kHz, somebody begins to speak; None when nobody does.

    Blocking, and over once speech is found.
    """
    detector = VoiceDetector(model)
    run = 0
    for number, step in enumerate(_steps(samples), start=1):
        run = run + 1 if detector.step(step) >= _AUDIBLE else 0
        if run == _AUDIBLE_STEPS:
            return (number - run) * STEP_SAMPLES
    return None


@dataclass(frozen=True)
class Clip:
    """A stretch to recognise by itself, in frames of 10 ms; without a stop it goes on to the end."""

    start: int
    stop: int | None = None


class Cutter:
    """Cuts a recording at silences into clips of about a window's length, while it is still being decoded."""

    def __init__(self, model: VoiceModel, options: GateOptions) -> None:
        self._detector = VoiceDetector(model)
        self._options = options
        self._gate = SpeechGate(options)
        self._rest: Samples = np.empty(0, dtype=np.float32)
        self._onset = 0
        self._cut = 0
        self._spans: list[Span] = []

    def feed(self, samples: Samples) -> list[Clip]:
        """Hear what follows, shape (n,), 16 kHz; return the clips that are complete by it. Blocking."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // STEP_SAMPLES * STEP_SAMPLES
        self._rest = samples[whole:]
        return [clip for step in _steps(samples[:whole]) for clip in self._hear(step)]

    def finish(self, length: int) -> list[Clip]:
        """Return the clips that the end after `length` samples completes. Blocking."""
        clips = [clip for step in _steps(self._rest) for clip in self._hear(step)]
        if edge := self._gate.finish():
            clips += self._add(Span(self._onset, edge.at))
        return [*clips, *self._flush(length)]

    def _hear(self, step: Samples) -> list[Clip]:
        edge = self._gate.push(self._detector.step(step))
        if edge is None:
            return []
        if edge.kind == "started":
            self._onset = edge.at
            return []
        return self._add(Span(self._onset, edge.at))

    def _add(self, span: Span) -> list[Clip]:
        """Put a span into the clip under way, or close that one if it would outgrow a window."""
        room = WINDOW_FRAMES * FRAME_SAMPLES - _padding(self._options.padding_after_ms)
        if not self._spans or span.stop - self._start() <= room:
            self._spans.append(span)
            return []
        clips = self._flush(span.start)
        self._spans = [span]
        return clips

    def _start(self) -> int:
        return max(self._cut, self._spans[0].start - _padding(self._options.padding_before_ms))

    def _flush(self, end: int) -> list[Clip]:
        if not self._spans:
            return []
        stop = min(self._spans[-1].stop + _padding(self._options.padding_after_ms), end)
        stop -= stop % FRAME_SAMPLES
        clip = Clip(self._start() // FRAME_SAMPLES, stop // FRAME_SAMPLES)
        self._spans, self._cut = [], stop
        return [clip]


def _padding(duration_ms: int) -> int:
    return duration_ms * FRAME_SAMPLES // 10


def _steps(samples: Samples) -> Iterator[Samples]:
    """Yield steps for the detector; the last one is filled up with silence."""
    for start in range(0, len(samples), STEP_SAMPLES):
        step = samples[start : start + STEP_SAMPLES]
        yield step if len(step) == STEP_SAMPLES else np.pad(step, (0, STEP_SAMPLES - len(step)))
