"""What a recording's transcription remembers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.recognition.engine import Decoded, Piece
from antiphon.recognition.state import RecognitionState, Step
from antiphon.schemas import Segment, TokenLogprob, Word

pytestmark = pytest.mark.unit


def piece(text: str, *, tokens: tuple[int, ...] = (1,), words: tuple[Word, ...] = ()) -> Piece:
    spelled = (TokenLogprob(token=text, logprob=-0.1, bytes=tuple(text.encode())),)
    return Piece(
        segment=Segment(
            id=0,
            seek=0,
            start=0,
            end=1,
            text=text,
            tokens=tokens,
            temperature=0,
            avg_logprob=-0.2,
            compression_ratio=1,
            no_speech_prob=0,
        ),
        words=words,
        logprobs=spelled,
    )


def decoded(*pieces: Piece, seek: int = 100, forget: bool = False, language: str = "en") -> Decoded:
    return Decoded(language=language, pieces=pieces, seek=seek, forget=forget)


@given(st.lists(st.text(min_size=1, max_size=8).filter(str.strip), max_size=6))
def test_the_parts_make_the_text_and_so_do_their_bytes(texts: list[str]) -> None:
    state = RecognitionState().follow(decoded(*(piece(f" {text}") for text in texts)))
    assert state.text == "".join(f" {text}" for text in texts).lstrip()
    data = b"".join(bytes(token.bytes) for finding in state.findings for token in finding.logprobs)
    assert len(data) <= len(state.text.encode()) or data.decode().lstrip() == state.text


def test_the_first_text_loses_its_space_and_no_other() -> None:
    state = RecognitionState().follow(decoded(piece(" One."), piece(" Two."))).follow(decoded(piece(" Three."), seek=9))
    assert [finding.text for finding in state.findings] == ["One.", " Two.", " Three."]
    assert [finding.segment.id for finding in state.findings] == [0, 1, 2]
    assert bytes(state.findings[0].logprobs[0].bytes) == b"One."


def test_uncertain_text_is_forgotten_as_history_and_kept_as_text() -> None:
    state = RecognitionState(history=(7,)).follow(decoded(piece(" So", tokens=(1, 2))))
    assert state.history == (7, 1, 2)
    state = state.follow(decoded(piece(" la la", tokens=(3,)), seek=200, forget=True))
    assert state.history == ()
    assert state.text == "So la la"


def test_the_history_stays_short() -> None:
    state = RecognitionState().follow(decoded(piece(" x", tokens=tuple(range(500)))))
    assert state.history == tuple(range(500 - 224, 500))


def test_a_window_without_text_tells_no_language() -> None:
    state = RecognitionState().follow(decoded(language="de"))
    assert state.language is None
    state = state.follow(decoded(piece(" Ja"), language="de", seek=200)).follow(decoded(piece(" yes"), seek=300))
    assert state.language == "de"


def test_words_never_begin_before_the_one_before_has_ended() -> None:
    first = piece(" a b", words=(Word(word="a", start=0, end=1.004), Word(word="b", start=0.9, end=1.3)))
    second = piece(" c", words=(Word(word="c", start=1.1, end=1.2),))
    state = RecognitionState().follow(decoded(first)).follow(decoded(second, seek=200))
    times = [(word.start, word.end) for finding in state.findings for word in finding.words]
    assert times == [(0.0, 1.0), (1.0, 1.3), (1.3, 1.3)]


texts = st.lists(st.text(min_size=1, max_size=8).filter(str.strip), max_size=4)
windows = st.builds(
    lambda texts, seek, forget, language, tokens: decoded(
        *(piece(f" {text}", tokens=tokens) for text in texts), seek=seek, forget=forget, language=language
    ),
    texts,
    st.integers(0, 10_000),
    st.booleans(),
    st.sampled_from(("en", "de")),
    st.lists(st.integers(0, 50_000), max_size=100).map(tuple),
)
moves = st.lists(st.one_of(windows, st.integers(0, 20_000)), max_size=12)


def walk(state: RecognitionState, moves: list[Decoded | int]) -> list[RecognitionState]:
    """Return the states after each window, or after sound without speech up to a frame."""
    states = []
    for move in moves:
        state = state.skip(move) if isinstance(move, int) else state.follow(move)
        states.append(state)
    return states


@given(moves, st.sampled_from((None, "fr")), st.lists(st.integers(0, 9), max_size=300).map(tuple))
def test_the_state_is_rebuilt_from_its_steps(
    moves: list[Decoded | int], language: str | None, opening: tuple[int, ...]
) -> None:
    begin = RecognitionState(language=language, history=opening)
    states = walk(begin, moves)
    rebuilt = begin
    for earlier, later in pairwise([begin, *states]):
        rebuilt = rebuilt.add(Step.model_validate_json(later.since(earlier).model_dump_json()))
        assert rebuilt == later


@given(moves, st.integers(0, 12))
def test_a_step_may_span_several_windows(moves: list[Decoded | int], first: int) -> None:
    begin = RecognitionState()
    states = [begin, *walk(begin, moves)]
    earlier, last = states[min(first, len(moves))], states[-1]
    assert earlier.add(last.since(earlier)) == last


def test_the_steps_of_a_long_recording_take_no_more_room_than_its_text() -> None:
    window = decoded(*(piece(f" sentence {n}", tokens=tuple(range(20))) for n in range(8)))
    sizes = []
    state = RecognitionState()
    for _ in range(200):
        after = state.follow(window)
        sizes.append(len(after.since(state).model_dump_json()))
        state = after
    assert max(sizes[20:]) < 1.05 * sizes[20]


def test_seeking_only_goes_forward() -> None:
    state = RecognitionState(seek=500)
    assert state.skip(100).seek == 500
    assert state.follow(decoded(seek=400)).seek == 501
