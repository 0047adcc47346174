"""Word error rate: what counts as an error, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.cli.wer import edit_distance, normalize, word_error_rate

pytestmark = pytest.mark.unit

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8)


@pytest.mark.parametrize(
    ("said", "heard", "rate"),
    [
        ("The quick brown fox.", "the quick, brown fox", 0.0),
        ("One two three ten.", "1, 2, 3, 10.", 0.0),
        ("Twenty-one thousand and five", "21,000 and 5", 0.0),
        ("Mr. Quilter doesn't", "mister quilter doesn\u2019t", 0.0),
        ("one two three four", "one two four", 0.25),
        ("one two three four", "one two three and four", 0.25),
        ("one two three four", "one too three four", 0.25),
        ("nothing", "", 1.0),
        ("", "", 0.0),
        ("", "made up", 2.0),
        ("short", "a long invention", 3.0),
    ],
)
def test_the_rate_is_the_edits_per_word_said(said: str, heard: str, rate: float) -> None:
    assert word_error_rate(said, heard) == pytest.approx(rate)


def test_numbers_are_spelt_out() -> None:
    assert " ".join(normalize("13 40 99 100 101 999 1000 12,345")) == (
        "thirteen forty ninety nine one hundred one hundred one nine hundred ninety nine one thousand "
        "twelve thousand three hundred forty five"
    )


def test_other_languages_keep_their_numbers_and_letters() -> None:
    assert normalize("¡Olá, MUNDO! 3 Straße", language="pt") == ["olá", "mundo", "3", "strasse"]


@given(WORDS, WORDS, WORDS)
def test_the_distance_is_a_metric(one: list[str], two: list[str], three: list[str]) -> None:
    assert edit_distance(one, one) == 0
    assert edit_distance(one, two) == edit_distance(two, one)
    assert edit_distance(one, three) <= edit_distance(one, two) + edit_distance(two, three)
    assert abs(len(one) - len(two)) <= edit_distance(one, two) <= max(len(one), len(two))
