"""Tokens to timed words."""

from __future__ import annotations

import pytest

from antiphon.recognition.alignment import Sounded, time_groups, words_by_segment
from antiphon.recognition.token_bytes import token_bytes

pytestmark = pytest.mark.unit


def test_a_word_lasts_from_its_first_token_to_the_next_word() -> None:
    groups = [(" Hello", 2), (" you", 1), (".", 1)]
    pairs = [(0, 0), (0, 1), (1, 5), (2, 10), (2, 11), (3, 20), (4, 25)]
    timed = time_groups(groups, pairs, offset_s=30.0)
    assert [(s.text, round(s.start_s, 2), round(s.end_s, 2)) for s in timed] == [
        (" Hello", 30.0, 30.2),
        (" you", 30.2, 30.4),
        (".", 30.4, 30.5),
    ]


def test_words_come_without_punctuation_and_lone_punctuation_not_at_all() -> None:
    sounded = [Sounded(text, i / 5, (i + 1) / 5, 1) for i, text in enumerate([" «Don't", " stop", "!»", " -", " now…"])]
    (words,) = words_by_segment(sounded, [5], last_s=10.0)
    assert [word.word for word in words] == ["Don't", "stop", "now"]


def test_words_go_to_the_segment_that_has_their_tokens() -> None:
    sounded = [Sounded(" a", 0, 0.2, 1), Sounded(" bc", 0.2, 0.4, 2), Sounded(" d", 0.4, 0.6, 1)]
    first, second = words_by_segment(sounded, [3, 1], last_s=10.0)
    assert [word.word for word in first] == ["a", "bc"]
    assert [word.word for word in second] == ["d"]


def test_a_pause_before_a_sentence_is_no_part_of_its_first_word() -> None:
    sounded = [
        Sounded(" One.", 0.0, 0.3, 1),
        Sounded(" Two", 0.3, 4.3, 1),
        Sounded(" is", 4.3, 4.6, 1),
        Sounded(" it", 4.6, 4.9, 1),
    ]
    (words,) = words_by_segment(sounded, [4], last_s=10.0)
    assert words[1].start == pytest.approx(3.7)
    assert words[1].end == pytest.approx(4.3)


def test_no_word_ends_after_the_window() -> None:
    (words,) = words_by_segment([Sounded(" end", 9.9, 10.4, 1)], [1], last_s=10.0)
    assert words[0].end == 10.0


def test_tokens_are_spelled_in_bytes() -> None:
    assert token_bytes("Ġso") == b" so"
    assert token_bytes("Ã©") == "é".encode()
    assert token_bytes("ĥ") == b"\x83"
