"""Where a recording is cut, and where speech begins: decisions on a voice detector's verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio.samples import Samples
from antiphon.audio.speech_gate import FRAME_SAMPLES, GateOptions
from antiphon.recognition.engine import FRAME_SAMPLES as FRAME
from antiphon.recognition.engine import WINDOW_FRAMES
from antiphon.recognition.silence import Cutter, first_speech

pytestmark = pytest.mark.unit


class Loudness:
    """Hears voice where there is any sound: stands for the weights, so that cuts can be foretold."""

    def step(self, window: Samples, state: object) -> tuple[float, object]:
        return float(np.abs(window[-FRAME_SAMPLES:]).max() > 0.1), state


def sound(*stretches: tuple[float, bool]) -> Samples:
    """Return stretches of some seconds, loud or silent."""
    return np.concatenate([np.full(round(s * 16_000), 0.5 * loud, dtype=np.float32) for s, loud in stretches])


def clips_of(samples: Samples, *, step: int = 16_000, options: GateOptions | None = None) -> list[tuple[int, int]]:
    cutter = Cutter(Loudness(), options or GateOptions())  # type: ignore[arg-type]
    clips = [clip for at in range(0, len(samples), step) for clip in cutter.feed(samples[at : at + step])]
    return [(clip.start, clip.stop or 0) for clip in [*clips, *cutter.finish(len(samples))]]


def test_speech_begins_where_it_is_loud() -> None:
    samples = sound((3, False), (1, True))
    at = first_speech(Loudness(), samples)  # type: ignore[arg-type]
    assert at is not None
    assert abs(at - 48_000) <= FRAME_SAMPLES
    assert first_speech(Loudness(), sound((3, False), (0.03, True), (1, False))) is None  # type: ignore[arg-type]


def test_turns_are_packed_into_windows() -> None:
    turns = [(8.0, True), (1.0, False)] * 6
    clips = clips_of(sound(*turns))
    assert len(clips) == 2
    assert all(stop - start <= WINDOW_FRAMES for start, stop in clips)


def test_speech_without_a_pause_is_one_clip_however_long() -> None:
    assert len(clips_of(sound((1, False), (75, True), (1, False)))) == 1


def test_silence_has_no_clips() -> None:
    assert clips_of(sound((40, False))) == []


stretches = st.lists(st.tuples(st.floats(0.1, 20.0), st.booleans()), min_size=1, max_size=12)


@settings(deadline=None, max_examples=50)
@given(stretches, st.integers(1, 50_000))
def test_clips_are_in_order_apart_and_hold_all_speech(turns: list[tuple[float, bool]], step: int) -> None:
    samples = sound(*turns)
    clips = clips_of(samples, step=max(step, 5_000))
    edges = [edge for clip in clips for edge in clip]
    assert edges == sorted(edges)
    assert not edges or edges[-1] * FRAME <= len(samples)
    heard = np.zeros(len(samples) + FRAME, dtype=bool)
    for start, stop in clips:
        heard[start * FRAME : (stop + 1) * FRAME] = True
    missed = (np.abs(samples) > 0.1) & ~heard[: len(samples)]
    # Bursts below the shortest speech, and the steps in which speech begins and ends.
    for at in np.flatnonzero(np.diff(missed.astype(np.int8), prepend=0) == 1):
        rest = missed[at:]
        assert (len(rest) if rest.all() else int(np.argmin(rest))) <= FRAME_SAMPLES * 4
