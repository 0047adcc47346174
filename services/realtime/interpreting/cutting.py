"""Cut a stream of speech into utterances that can be translated one by one. Values in, values out.

A pause ends an utterance. Nobody waits for the end of a speaker who makes none: the longer an utterance gets, the less
of a pause will do, and at its longest it is cut where the voice was lowest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from antiphon.audio.speech_gate import FRAME_SAMPLES, GateOptions, GateState, Span, SpeechGate
from services.realtime.session.happenings import POSITIONS_PER_MS

PAUSE_MS = 352
DIPS_FROM_MS = 5_000
"""How long an utterance is before dips of the voice are looked for."""
CONTENT_FROM_MS = 7_000
"""How long it is before a dip is as good as a pause."""
LONGEST_MS = 11_000

_OPTIONS = GateOptions(min_speech_ms=128, min_silence_ms=PAUSE_MS, padding_before_ms=300, padding_after_ms=200)
_DIP_FRAMES = 4
"""About 130 ms: a plosive is shorter, the breath between two clauses is not."""
_LOW = 0.25


@dataclass(slots=True)
class CutterState:
    """What a cutter remembers, for another one that is to go on from here."""

    gate: GateState = field(default_factory=GateState)
    base: int = 0
    """Where the gate's first frame would be in the input, had all frames since been as regular as the last one."""
    opened: int | None = None
    """Where the utterance began that is being spoken."""
    closed: int = 0
    """Where the last one ended."""
    recent: tuple[float, ...] = ()
    dip: float | None = None
    """How low the voice was in the lowest dip of this utterance, and where that is."""
    dip_at: int = 0


class Cutter:
    """Takes the probabilities of voice of a stream from its beginning; tells its utterances, each once it is over."""

    def __init__(self, state: CutterState | None = None) -> None:
        self._state = state or CutterState()
        self._gate = SpeechGate(_OPTIONS, self._state.gate)

    @property
    def state(self) -> CutterState:
        """What this cutter remembers."""
        self._state.gate = self._gate.state
        return self._state

    @property
    def speaking(self) -> bool:
        """Whether an utterance has begun that is not over."""
        return self._state.opened is not None

    @property
    def needed_from(self) -> int:
        """Where the next utterance can begin at the earliest, in samples at 16 kHz."""
        if self._state.opened is not None:
            return self._state.opened
        onset = self._gate.state.onset
        return self._begin(self._position if onset is None else self._state.base + onset)

    @property
    def _position(self) -> int:
        return self._state.base + self._gate.position

    def push(self, voice: Sequence[float], position: int) -> list[Span]:
        """Take the probabilities of the frames that are complete at `position`, where the input ends.

        Returns the utterances that are over now, padded.
        """
        # After a takeover frames begin elsewhere: they are less than a frame off, and must not stray any further.
        rest = position - self._position - len(voice) * FRAME_SAMPLES
        self._state.base += min(rest, 0) + max(rest - FRAME_SAMPLES + 1, 0)
        found = []
        for probability in voice:
            if span := self._take(probability):
                found.append(span)
        return found

    def finish(self, position: int) -> Span | None:
        """End the utterance that is being spoken, if there is one, as nothing follows `position` for now."""
        edge = self._gate.finish()
        return self._close(self._state.base + edge.at, position) if edge else None

    def _take(self, probability: float) -> Span | None:
        edge = self._gate.push(probability)
        state = self._state
        state.recent = (*state.recent[1 - _DIP_FRAMES :], probability)
        if edge and edge.kind == "started":
            state.opened = self._begin(state.base + edge.at)
        elif edge:
            return self._close(state.base + edge.at, self._position)
        elif state.opened is not None:
            return self._cut(state.opened)
        return None

    def _begin(self, onset: int) -> int:
        return max(onset - _OPTIONS.padding_before_ms * POSITIONS_PER_MS, self._state.closed)

    def _close(self, at: int, position: int) -> Span | None:
        opened = self._state.opened
        self._state.opened, self._state.dip = None, None
        if opened is None or at <= opened:
            return None  # it was cut in the silence that now has lasted
        self._state.closed = min(at + _OPTIONS.padding_after_ms * POSITIONS_PER_MS, position)
        return Span(opened, self._state.closed)

    def _cut(self, opened: int) -> Span | None:
        state = self._state
        length = self._position - opened
        if length < DIPS_FROM_MS * POSITIONS_PER_MS:
            return None
        low = math.fsum(state.recent) / len(state.recent)
        if state.dip is None or low <= state.dip:
            state.dip, state.dip_at = low, self._position - FRAME_SAMPLES * _DIP_FRAMES // 2
        content = length >= CONTENT_FROM_MS * POSITIONS_PER_MS and state.dip < _LOW
        if not content and length < LONGEST_MS * POSITIONS_PER_MS:
            return None
        state.opened = state.closed = state.dip_at
        state.dip = None
        return Span(opened, state.dip_at)
