"""Where speech begins and ends, told from probabilities."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.speech_gate import FRAME_SAMPLES, Edge, GateOptions, Span, SpeechGate, find_spans
from antiphon.schemas import Chunking

pytestmark = pytest.mark.unit

TIGHT = GateOptions(min_speech_ms=64, min_silence_ms=64, padding_before_ms=0, padding_after_ms=0)

probabilities = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.9]), max_size=200)
options = st.builds(
    GateOptions,
    threshold=st.sampled_from([0.3, 0.5, 0.8]),
    min_speech_ms=st.integers(0, 500),
    min_silence_ms=st.integers(1, 500),
    padding_before_ms=st.integers(0, 1000),
    padding_after_ms=st.integers(0, 1000),
)


def frames(pattern: str) -> list[float]:
    """Return one probability for each mark: `#` is voice, `~` doubtful, `.` silence."""
    return [{"#": 0.9, "~": 0.4, ".": 0.0}[mark] for mark in pattern]


def spans(pattern: str, options: GateOptions = TIGHT) -> list[tuple[float, float]]:
    """Return spans counted in frames."""
    found = find_spans(frames(pattern), len(pattern) * FRAME_SAMPLES, options)
    return [(span.start / FRAME_SAMPLES, span.stop / FRAME_SAMPLES) for span in found]


def test_speech_lasts_from_the_first_voice_to_the_last() -> None:
    assert spans("....####....") == [(4, 8)]


def test_a_short_pause_does_not_end_speech() -> None:
    assert spans("..###.###..") == [(2, 9)]


def test_a_long_pause_does() -> None:
    assert spans("..###..###..") == [(2, 5), (7, 10)]


def test_a_click_is_no_speech() -> None:
    assert spans("....#....") == []


def test_a_wavering_voice_is_not_cut() -> None:
    assert spans("..##~~~~~##..") == [(2, 11)]


def test_doubt_alone_is_no_speech() -> None:
    assert spans("~~~~~~~~") == []


def test_speech_that_the_end_cuts_off_counts() -> None:
    assert spans("....####") == [(4, 8)]


def test_padding_stays_within_the_recording_and_out_of_the_neighbours() -> None:
    wide = GateOptions(min_speech_ms=64, min_silence_ms=64, padding_before_ms=96, padding_after_ms=96)
    assert spans(".###....###..###", wide) == [(0, 7), (7, 13), (13, 16)]


def test_the_options_of_a_request_are_taken_over() -> None:
    chunking = Chunking(prefix_padding_ms=100, silence_duration_ms=700, threshold=0.7)
    assert GateOptions.of(chunking) == GateOptions(
        threshold=0.7, min_silence_ms=700, padding_before_ms=100, padding_after_ms=700
    )


def test_a_start_is_told_when_it_has_lasted_and_a_stop_after_the_pause() -> None:
    gate = SpeechGate(TIGHT)
    edges = [gate.push(probability) for probability in frames(".###..")]
    assert edges == [
        None,
        None,
        Edge("started", 1 * FRAME_SAMPLES),
        None,
        None,
        Edge("stopped", 4 * FRAME_SAMPLES),
    ]
    assert not gate.speaking


@given(probabilities, options, st.integers(0, FRAME_SAMPLES - 1))
def test_spans_are_in_order_apart_and_within_the_recording(
    values: list[float], options: GateOptions, missing: int
) -> None:
    length = max(0, len(values) * FRAME_SAMPLES - missing)
    found = find_spans(values, length, options)
    assert all(0 <= span.start < span.stop <= length for span in found)
    assert all(before.stop <= after.start for before, after in pairwise(found))


@given(probabilities, options)
def test_there_is_voice_in_every_span(values: list[float], options: GateOptions) -> None:
    for span in find_spans(values, len(values) * FRAME_SAMPLES, options):
        inside = values[span.start // FRAME_SAMPLES : -(-span.stop // FRAME_SAMPLES)]
        assert max(inside) >= options.threshold


@given(probabilities, options)
def test_voice_outside_every_span_is_shorter_than_speech(values: list[float], options: GateOptions) -> None:
    found = find_spans(values, len(values) * FRAME_SAMPLES, options)
    run_ms = 0.0
    for index, value in enumerate(values):
        covered = any(span.start <= index * FRAME_SAMPLES < span.stop for span in found)
        run_ms = run_ms + 32 if value >= options.threshold and not covered else 0
        assert run_ms == 0 or run_ms < options.min_speech_ms


@given(probabilities, options)
def test_a_live_gate_hears_the_spans_of_the_whole_recording(values: list[float], options: GateOptions) -> None:
    bare = GateOptions(
        threshold=options.threshold,
        min_speech_ms=options.min_speech_ms,
        min_silence_ms=options.min_silence_ms,
        padding_before_ms=0,
        padding_after_ms=0,
    )
    gate = SpeechGate(bare)
    live: list[Span] = []
    started = None
    for edge in [*(gate.push(value) for value in values), gate.finish()]:
        if edge is not None and edge.kind == "started":
            assert started is None
            started = edge.at
        elif edge is not None:
            assert started is not None
            live.append(Span(started, edge.at))
            started = None
    assert started is None
    assert live == find_spans(values, len(values) * FRAME_SAMPLES, bare)
