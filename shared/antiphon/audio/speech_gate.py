"""Decide from voice probabilities where speech begins and ends. Values in, values out: no model, no clock.

The same gate serves a live stream, frame by frame, and a whole recording, so both hear the same turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from antiphon.audio.samples import RECOGNITION_RATE
from antiphon.schemas import Chunking

FRAME_SAMPLES = 512
"""Samples at 16 kHz that one probability stands for: 32 ms."""

_HYSTERESIS = 0.15
"""How far below the threshold a probability must fall to count as silence, so that a wavering voice is not cut."""


@dataclass(frozen=True)
class Span:
    """A stretch of sound, in samples at 16 kHz; `stop` is the first one after it."""

    start: int
    stop: int

    @property
    def start_s(self) -> float:
        """Where it starts, in seconds."""
        return self.start / RECOGNITION_RATE

    @property
    def stop_s(self) -> float:
        """Where it stops, in seconds."""
        return self.stop / RECOGNITION_RATE


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """When speech is speech.

    Attributes:
        threshold: probability from which a frame is voice, 0 to 1.
        min_speech_ms: a shorter burst of voice is a noise.
        min_silence_ms: a shorter pause does not end speech.
        padding_before_ms: how much is kept before the first voice.
        padding_after_ms: how much is kept after the last voice.
    """

    threshold: float = 0.5
    min_speech_ms: int = 96
    min_silence_ms: int = 200
    padding_before_ms: int = 300
    padding_after_ms: int = 200

    @classmethod
    def of(cls, chunking: Chunking) -> GateOptions:
        """Read the options of a request."""
        return cls(
            threshold=chunking.threshold,
            min_silence_ms=chunking.silence_duration_ms,
            padding_before_ms=chunking.prefix_padding_ms,
            padding_after_ms=chunking.silence_duration_ms,
        )


@dataclass(frozen=True)
class Edge:
    """Speech started or stopped at a sample. Told once it has lasted, so always later than it was."""

    kind: Literal["started", "stopped"]
    at: int


@dataclass(frozen=True)
class GateState:
    """What a gate remembers, for another one that is to go on from here."""

    frames: int = 0
    onset: int | None = None
    silence: int | None = None
    told: bool = False


class SpeechGate:
    """Takes one probability after the other; tells the edges, without padding."""

    def __init__(self, options: GateOptions, state: GateState | None = None) -> None:
        """Begin anew, or where another gate was."""
        state = state or GateState()
        self._options = options
        self._frames = state.frames
        self._onset = state.onset
        self._silence = state.silence
        self._told = state.told

    @property
    def state(self) -> GateState:
        """What this gate remembers."""
        return GateState(self._frames, self._onset, self._silence, self._told)

    @property
    def quiet(self) -> int:
        """How many samples of silence there are since the last voice of who speaks."""
        return 0 if self._silence is None else self.position - self._silence

    @property
    def position(self) -> int:
        """How many samples have been judged."""
        return self._frames * FRAME_SAMPLES

    @property
    def speaking(self) -> bool:
        """Whether speech has started and not stopped."""
        return self._told

    def push(self, probability: float) -> Edge | None:
        """Judge the next frame and return the edge that it completes, if any."""
        at = self.position
        self._frames += 1
        if self._onset is None:
            if probability >= self._options.threshold:
                self._onset, self._silence = at, None
        elif probability >= self._options.threshold:
            self._silence = None
        elif self._silence is None and probability < self._options.threshold - _HYSTERESIS:
            self._silence = at
        return self._edge()

    def finish(self) -> Edge | None:
        """Return the stop that the end of the sound brings, if somebody speaks."""
        if not self._told:
            return None
        stop = self.position if self._silence is None else self._silence
        self._onset, self._silence, self._told = None, None, False
        return Edge("stopped", stop)

    def _edge(self) -> Edge | None:
        if self._onset is None:
            return None
        if self._silence is None:
            if self._told or self.position - self._onset < _samples(self._options.min_speech_ms):
                return None
            self._told = True
            return Edge("started", self._onset)
        if self.position - self._silence < _samples(self._options.min_silence_ms):
            return None
        stop, told = self._silence, self._told
        self._onset, self._silence, self._told = None, None, False
        return Edge("stopped", stop) if told else None


def find_spans(probabilities: Iterable[float], length: int, options: GateOptions) -> list[Span]:
    """Return the padded stretches of speech of a whole recording of `length` samples: in order, apart, within it."""
    gate = SpeechGate(options)
    edges = [edge for probability in probabilities if (edge := gate.push(probability))]
    if last := gate.finish():
        edges.append(last)
    starts, stops = (edge.at for edge in edges[::2]), (edge.at for edge in edges[1::2])
    voiced = [Span(start, min(stop, length)) for start, stop in zip(starts, stops, strict=True)]
    return _pad(voiced, length, options)


def _pad(voiced: Sequence[Span], length: int, options: GateOptions) -> list[Span]:
    """Widen the spans as far as the options say, and never into each other: what follows speech belongs to it first."""
    padded: list[Span] = []
    for index, span in enumerate(voiced):
        before = padded[-1].stop if padded else 0
        after = voiced[index + 1].start if index + 1 < len(voiced) else length
        start = max(span.start - _samples(options.padding_before_ms), before)
        padded.append(Span(start, min(span.stop + _samples(options.padding_after_ms), after)))
    return padded


def _samples(duration_ms: int) -> int:
    return duration_ms * RECOGNITION_RATE // 1000
