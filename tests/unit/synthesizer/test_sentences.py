from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.speech import sentences

pytestmark = pytest.mark.unit


def test_sentences_end_where_a_reader_would_pause() -> None:
    text = 'Dr. Smith paid $3.50 at 10:30. "Really?" she asked. J. K. Rowling wrote it!\n\nA new paragraph'
    assert sentences(text) == [
        "Dr. Smith paid $3.50 at 10:30.",
        '"Really?" she asked.',
        "J. K. Rowling wrote it!",
        "A new paragraph",
    ]


def test_a_sentence_over_several_lines_becomes_one_line() -> None:
    assert sentences("This one\n  goes on\there. Next.") == ["This one goes on here.", "Next."]


@given(st.text())
def test_no_word_is_lost_or_moved(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


PROSE = st.sampled_from(["One.", "Two!", "e.g. three", "(four)", '"five."', "\n\n", "\n", "U.S.A.", "6.5", "—"])


@given(st.lists(PROSE).map(" ".join))
def test_prose_keeps_its_words_whole(text: str) -> None:
    assert " ".join(sentences(text)).split() == text.split()
