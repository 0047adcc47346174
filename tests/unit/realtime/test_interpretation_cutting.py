"""Where a stream of speech is cut into utterances."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.speech_gate import FRAME_SAMPLES, GateState, Span
from services.realtime.interpreting.cutting import LONGEST_MS, Cutter, CutterState

pytestmark = pytest.mark.unit

SECOND = 16_000


def cut(voice: list[float]) -> list[Span]:
    cutter = Cutter()
    spans = cutter.push(voice, len(voice) * FRAME_SAMPLES)
    if last := cutter.finish(len(voice) * FRAME_SAMPLES):
        spans.append(last)
    return spans


def test_a_pause_ends_an_utterance() -> None:
    voice = [0.0] * 20 + [0.9] * 30 + [0.0] * 15 + [0.9] * 30 + [0.0] * 15
    first, second = cut(voice)
    assert first.start == 20 * FRAME_SAMPLES - 4_800
    assert first.stop == 50 * FRAME_SAMPLES + 3_200
    assert second.start >= first.stop


def test_an_utterance_is_told_as_soon_as_the_pause_has_lasted() -> None:
    cutter = Cutter()
    assert cutter.push([0.9] * 30 + [0.0] * 10, 40 * FRAME_SAMPLES) == []
    assert len(cutter.push([0.0], 41 * FRAME_SAMPLES)) == 1


def test_a_speaker_without_pauses_is_cut_at_the_lowest_dip() -> None:
    voice = [0.9] * 200 + [0.5] * 6 + [0.9] * 300
    first, *_ = cut(voice)
    assert 200 * FRAME_SAMPLES <= first.stop <= 206 * FRAME_SAMPLES


def test_the_longer_an_utterance_the_less_of_a_pause_will_do() -> None:
    voice = [0.9] * 60 + [0.0] * 5 + [0.9] * 160 + [0.0] * 5 + [0.9] * 30
    first, second = cut(voice)
    assert 225 * FRAME_SAMPLES <= first.stop <= 230 * FRAME_SAMPLES
    assert second.start == first.stop


def test_a_cut_in_what_becomes_a_pause_leaves_no_empty_utterance() -> None:
    voice = [0.9] * 230 + [0.0] * 40
    assert len(cut(voice)) == 1


def test_a_click_is_no_utterance() -> None:
    assert cut([0.0] * 20 + [0.9] * 2 + [0.0] * 40) == []


voices = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]), st.integers(1, 250)), max_size=12).map(
    lambda runs: [probability for probability, count in runs for _ in range(count)]
)


@given(voices)
def test_utterances_are_in_order_apart_bounded_and_hold_all_that_was_said(voice: list[float]) -> None:
    spans = cut(voice)
    assert all(0 <= span.start < span.stop <= len(voice) * FRAME_SAMPLES for span in spans)
    assert all(before.stop <= after.start for before, after in pairwise(spans))
    assert all(span.stop - span.start <= (LONGEST_MS + 1000) * 16 for span in spans)
    run = 0
    for index, probability in enumerate([*voice, 0.0]):
        if probability >= 0.5:
            run += 1
        else:
            if run >= 4:
                missing = [
                    at
                    for at in range(index - run, index)
                    if not any(it.start <= at * FRAME_SAMPLES and (at + 1) * FRAME_SAMPLES <= it.stop for it in spans)
                    and not any(at * FRAME_SAMPLES < it.stop < (at + 1) * FRAME_SAMPLES for it in spans)
                ]
                assert missing == []
            run = 0


@given(voices, st.integers(1, 60))
def test_a_cutter_goes_on_where_another_one_was_and_needs_nothing_from_before(voice: list[float], step: int) -> None:
    whole = Cutter().push(voice, len(voice) * FRAME_SAMPLES)
    pieces: list[Span] = []
    state, needed = CutterState(), 0
    for start in range(0, len(voice), step):
        cutter = Cutter(state)
        piece = voice[start : start + step]
        for span in cutter.push(piece, (start + len(piece)) * FRAME_SAMPLES):
            assert span.start >= needed
            pieces.append(span)
        needed = cutter.needed_from
        kept = orjson.loads(orjson.dumps(asdict(cutter.state)))
        state = CutterState(**{**kept, "gate": GateState(**kept["gate"])})
    assert pieces == whole


@given(voices, st.lists(st.tuples(st.integers(1, 40), st.integers(-511, 511)), min_size=1, max_size=30))
def test_frames_that_begin_elsewhere_after_a_takeover_do_not_stray(
    voice: list[float], takeovers: list[tuple[int, int]]
) -> None:
    cutter = Cutter()
    spans, at, position = [], 0, 0
    for count, off in takeovers:
        piece = voice[at : at + count]
        at += len(piece)
        position = max(position, at * FRAME_SAMPLES + off)
        spans += cutter.push(piece, position)
        assert cutter.needed_from <= position
    assert all(span.start < span.stop <= position for span in spans)
    assert all(before.stop <= after.start for before, after in pairwise(spans))
