from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.synthesizer.engines import Limits
from services.synthesizer.pieces import CLAUSE_PAUSE_S, PARAGRAPH_PAUSE_S, SENTENCE_PAUSE_S, pieces
from services.synthesizer.script import speakable

pytestmark = pytest.mark.unit

LIMITS = Limits(sizes=(32, 64, 140))
PROSE = "we walked, and then (as usual) home. Why? — extraordinarily 3.14 !!!"
WORDS = st.sampled_from([*PROSE.split(), "\n\n", "\n"])


def _texts(text: str, limits: Limits = LIMITS) -> list[str]:
    return [piece.text for piece in pieces(text, limits)]


def _said(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def test_a_long_first_sentence_starts_with_its_first_clause() -> None:
    assert _texts("Good morning everyone, and welcome to the show.") == [
        "Good morning everyone,",
        "and welcome to the show.",
    ]


def test_a_short_first_sentence_is_not_made_to_wait_for_the_second() -> None:
    assert _texts("Hello there. How are you? I am fine.") == ["Hello there.", "How are you? I am fine."]


def test_a_sentence_of_middling_length_is_not_torn_apart() -> None:
    assert _texts("I think that it is good for you to go.") == ["I think that it is good for you to go."]


def test_no_piece_is_a_mere_tail() -> None:
    assert _texts("I would very much like to see that, too.") == ["I would very much like to see that, too."]


def test_an_engine_that_pays_nothing_per_call_gets_sentence_by_sentence() -> None:
    assert _texts("One is here. Two. Three.", Limits(sizes=(140,), packed=False)) == ["One is here.", "Two.", "Three."]


def test_pauses_follow_the_text() -> None:
    text = "Good morning everyone, and welcome to the show. Now this follows after all.\n\nNew paragraph."
    assert [piece.pause_s for piece in pieces(text, Limits(sizes=(32, 40)))] == [
        0.0,
        CLAUSE_PAUSE_S,
        SENTENCE_PAUSE_S,
        PARAGRAPH_PAUSE_S,
    ]


def test_a_text_with_nothing_to_say_has_no_pieces() -> None:
    assert _texts("!!! 😀 ...") == []


@given(st.lists(WORDS, max_size=120).map(" ".join))
def test_pieces_say_all_of_a_text_in_order(text: str) -> None:
    assert _said("".join(_texts(text))) == _said(speakable(text))


@given(st.text(max_size=600))
def test_pieces_of_anything_say_all_that_can_be_said_in_order(text: str) -> None:
    assert _said("".join(_texts(text))) == _said(speakable(text))


@given(st.lists(WORDS, max_size=120).map(" ".join))
def test_no_piece_is_longer_than_the_largest_size_nor_empty(text: str) -> None:
    assert all(0 < len(piece) <= LIMITS.sizes[-1] for piece in _texts(text))


@given(st.lists(WORDS, max_size=120).map(" ".join))
def test_words_stay_whole(text: str) -> None:
    words = [word for word in speakable(text).split() if _said(word)]
    assert [word for piece in _texts(text) for word in piece.split() if _said(word)] == words
