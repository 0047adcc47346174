from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.synthesizer.script import LONGEST_NUMBER, LONGEST_WORD, speakable

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Plain words, as they are: 3.5 & 7 < 9.", "Plain words, as they are: 3.5 & 7 < 9."),
        ("# A heading\nText", "A heading.\nText"),
        ("- one\n* two", "one.\ntwo."),
        ("**bold** and _soft_ and `code` in snake_case", "bold and soft and code in snake case"),
        ("see [the docs](https://example.com/a?b=c) now", "see the docs now"),
        ("see [the docs](/docs/) now", "see the docs now"),
        ("![a cat](cat.png)", "a cat"),
        ("go to https://www.example.com/a?b=c.", "go to www dot example dot com"),
        ("say [hibari](/hib\u02c8\u0251\u0279i/) now", "say [hibari](/hib\u02c8\u0251\u0279i/) now"),
        ("> quoted\n> text", "quoted\ntext"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b.\n\n1, 2."),
        ("```python\nx\n```", "x"),
        ("<b>strong</b>", "strong"),
        ("fine 😀 day", "fine day"),
        ("it is 日本語 here", "it is here"),
        ("Привет, world", ", world"),
        ("cafe\u0301", "café"),
        ("bell\x07 and\x00nul", "bell and nul"),
        ("\U0001d573ello", "Hello"),
        ("wait!!!!!!", "wait!!!"),
    ],
)
def test_what_is_written_becomes_what_is_said(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize("text", ["!!!", "😀 😀", "...", "日本語", " \n ", "---", "```\n```", "\ud800"])
def test_nothing_is_left_where_nothing_can_be_said(text: str) -> None:
    assert speakable(text) == ""


def test_long_numbers_are_read_digit_by_digit() -> None:
    assert speakable("1" * (LONGEST_NUMBER + 1)) == " ".join("1" * (LONGEST_NUMBER + 1))


@given(st.text())
def test_no_word_is_too_long_to_be_pronounced(text: str) -> None:
    assert all(len(word) <= LONGEST_WORD for word in speakable(text).split())


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0x17F)))
def test_latin_words_and_numbers_are_kept(word: str) -> None:
    assert "".join(speakable(word).split()) == word.replace("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}")
