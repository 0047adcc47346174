# ruff: noqa: RUF001 (full stops of other scripts)
"""Sentences of a text that comes in pieces."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.speech import SentenceStream, is_speakable
from antiphon.speech.boundaries import LONGEST_PIECE
from antiphon.speech.stream import LONGEST, LONGEST_FIRST

pytestmark = pytest.mark.unit

BILL = "Dr. Smith paid $3.50, e.g. at 10 a.m. on No. 5."
BITS = [
    *(
        "One",
        "two",
        "Then",
        "the",
        "café",
        "3.5",
        "1.",
        "2)",
        "e.g.",
        "Dr.",
        "U.S.",
        "etc.",
        "J.",
        "No.",
        "$5",
        "...",
        "…",
    ),
    *(
        ".",
        "!",
        "?",
        ",",
        ":",
        ";",
        " ",
        " ",
        " ",
        " ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "-",
        "- ",
        "* ",
        "# ",
        "> ",
        "|",
        "—",
    ),
    *('"', "'", "”", "(", ")", "[", "](", "]", "*", "**", "_", "`", "```", "~~~", "```python\n", "```\n", "---", "==="),
    *(
        "今日は",
        "。",
        "！",
        "？",
        "「",
        "」",
        "、",
        "😀",
        "👨‍👩‍👧",
        "❗️",
        "e\u0301",
        "https://a.example/b.c?d=e.f",
        "a@b.example",
        "\ud800",
    ),
    *("Привет", "مرحبا؟", "नमस्ते।", "word " * 30, "clause, " * 20, "x" * 150),
]
TEXTS = st.lists(st.one_of(st.sampled_from(BITS), st.text(max_size=3)), max_size=60).map("".join)
UNFENCED = TEXTS.map(lambda text: re.sub("([`~])+", r"\1", text))


def _cut(text: str, *, at: list[int] | None = None, language: str | None = None) -> list[str]:
    stream = SentenceStream(language=language)
    ends = sorted({0, len(text), *(end for end in at or () if end <= len(text))})
    found = [sentence for start, end in itertools.pairwise(ends) for sentence in stream.feed(text[start:end])]
    return found + stream.finish()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("Dr. Smith paid $3.50, e.g. at 10 a.m. on No. 5. He left!", [BILL, "He left!"]),
        ("He lives in the U.S. He likes it.", ["He lives in the U.S.", "He likes it."]),
        ("The U.S. President J. K. Smith spoke.", ["The U.S. President J. K. Smith spoke."]),
        ('"Why?" she asked. "Because." He left.', ['"Why?" she asked.', '"Because."', "He left."]),
        ("(See above.) Next one.", ["(See above.)", "Next one."]),
        ("Well... maybe. Wait... What?", ["Well... maybe.", "Wait...", "What?"]),
        ("Pi is 3.14. Version 2.0.1 is out. OK", ["Pi is 3.14.", "Version 2.0.1 is out.", "OK"]),
        ("See https://a.example/b.c. Then go.", ["See https://a.example/b.c.", "Then go."]),
        ("Great! 😀 Next one 😀. 👨‍👩‍👧 Last", ["Great! 😀", "Next one 😀. 👨‍👩‍👧", "Last"]),
        ("He said **this.** Then **that.**\n", ["He said **this.**", "Then **that.**"]),
        (
            "Read [Dr. Who? Yes. No](http://a.example) now. Go.",
            ["Read [Dr. Who? Yes. No](http://a.example) now.", "Go."],
        ),
        ("Type `a. B` now. Go.", ["Type `a. B` now.", "Go."]),
        ("今日は。元気です！そう？はい", ["今日は。", "元気です！", "そう？", "はい"]),
        ("彼は「はい。」と言った。「はい。そう。」", ["彼は「はい。」と言った。", "「はい。", "そう。」"]),
        ("नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
        ("one line\ngoes on. And\non.", ["one line goes on.", "And on."]),
        ("A title\n\nA text", ["A title", "A text"]),
        ("# 1. A title\nA text", ["# 1. A title", "A text"]),
        (
            "Do this:\n1. Open it. Wait.\n2. Close it\n   again\n",
            ["Do this:", "1. Open it.", "Wait.", "2. Close it again"],
        ),
        ("- one\n- two\n* three\n• four", ["- one", "- two", "* three", "• four"]),
        ("It was\n-5 degrees\n**cold**", ["It was -5 degrees **cold**"]),
        ("| a. b | c |\n|---|---|\n| 1. | 2 |\nText", ["| a. b | c |", "|---|---|", "| 1. | 2 |", "Text"]),
        ("Title\n---\nText", ["Title", "---", "Text"]),
        ("> said\n> twice", ["> said", "> twice"]),
        ("So:\n```python\nx = 1. Y\n\n# z\n```\nDone. Ok", ["So:", "```python\n```", "Done.", "Ok"]),
        ("```a``` b", ["```a``` b"]),
        ("Left open:\n~~~\nx", ["Left open:", "~~~\n~~~"]),
        ("😀 !!!", ["😀 !!!"]),
        (" \n ", []),
        ("", []),
    ],
)
def test_a_sentence_ends_where_a_reader_would_pause(text: str, expected: list[str]) -> None:
    assert _cut(text) == expected


def test_abbreviations_are_those_of_the_language() -> None:
    text = "Er kommt z. B. Montag, ca. 5 Uhr, mit Dr. Meier. Gut."
    assert _cut(text, language="de") == ["Er kommt z. B. Montag, ca. 5 Uhr, mit Dr. Meier.", "Gut."]
    assert _cut(text, language="de-AT") == _cut(text, language="de")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Hello. How", "Hello. H"),
        ("In the U.S. He is", "In the U.S. He "),
        ("今日は。元気", "今日は。"),
        ("A title\n\nText", "A title\n\n"),
        ("Do this:\n- it", "Do this:\n- "),
        ("## Title\nText", "## Title\n"),
        ("| a |\n| b |", "| a |\n"),
        ("```python\nx = 1\n```", "```python\n"),
    ],
)
def test_a_sentence_comes_with_the_first_character_that_shows_it_is_complete(text: str, at: str) -> None:
    stream = SentenceStream()
    came = [index + 1 for index, character in enumerate(text) if stream.feed(character)]
    assert came == [len(at)]


def test_a_long_first_sentence_begins_before_its_end_is_written() -> None:
    text = "a few more words of this sentence, " * 20
    stream = SentenceStream()
    came = next(index for index in itertools.count() if stream.feed(text[index]))
    assert came == LONGEST_FIRST
    assert max(map(len, _cut(text)[1:-1])) > LONGEST_FIRST
    assert all(sentence.endswith(",") for sentence in _cut(text))


def test_a_sentence_without_clauses_is_cut_between_words() -> None:
    assert all(set(sentence.split()) == {"word"} for sentence in _cut("word " * 1000))


@given(TEXTS, st.lists(st.integers(0, 400)))
@example("Yes.\n" + "word " * 30 + "x" * 150 + "、！two！", [])
@example("1..\n'Then。！", [])
@example("Yes.\na、" + "word " * 46 + "J. _。\nThen", [])
@settings(max_examples=300, deadline=None)
def test_however_a_text_is_divided_its_sentences_are_the_same(text: str, at: list[int]) -> None:
    whole = _cut(text)
    assert _cut(text, at=at) == whole
    assert _cut(text, at=list(range(len(text)))) == whole


@given(UNFENCED)
def test_sentences_hold_every_character_in_order(text: str) -> None:
    assert "".join("".join(_cut(text)).split()) == "".join(text.split())


@given(UNFENCED)
def test_words_and_numbers_and_addresses_stay_whole(text: str) -> None:
    words = [word for word in text.split() if word.isascii() and len(word) <= LONGEST_PIECE // 2]
    found = [word for sentence in _cut(text) for word in sentence.split()]
    remaining = iter(found)
    assert all(word in remaining for word in words)


@given(TEXTS)
def test_no_sentence_is_empty_or_too_long_or_of_several_lines(text: str) -> None:
    for sentence in _cut(text):
        assert 0 < len(sentence) <= LONGEST_PIECE
        assert sentence == " ".join(sentence.split()) or sentence.startswith(("```", "~~~"))


@given(TEXTS, TEXTS)
def test_a_finished_stream_begins_anew(first: str, second: str) -> None:
    stream = SentenceStream()
    stream.feed(first)
    stream.finish()
    assert stream.feed(second) + stream.finish() == _cut(second)


@pytest.mark.parametrize(
    "text", ["x", "```", "```python\nx", "```\n", "x ", " ", "\n", "[", "`", "。", "「x", "- ", "a.", "#"]
)
def test_what_is_kept_is_bounded_and_time_is_linear(text: str) -> None:
    stream = SentenceStream()
    began = time.perf_counter()
    for _ in range(20):
        stream.feed(text * (10_000 // len(text)))
    assert time.perf_counter() - began < 10.0
    assert len("".join(stream.finish())) <= 2 * LONGEST_PIECE + LONGEST


def test_five_thousand_tokens_cost_less_than_a_tenth_of_a_second() -> None:
    prose = (
        "Dr. Lee's plan, as far as I know, is to walk 3.5 km every day. Is it *safe*? It is, and it keeps him going!\n"
    )
    text = (prose * 250)[:25_000]

    def cost_s() -> float:
        stream = SentenceStream()
        began = time.process_time()
        for start in range(0, len(text), 5):
            stream.feed(text[start : start + 5])
        return time.process_time() - began

    assert min(cost_s() for _ in range(5)) < 0.1


@pytest.mark.parametrize(
    ("text", "speakable"),
    [("Yes.", True), ("5", True), ("今", True), ("```\n```", True), ("|---|", False), ("😀 !", False), ("", False)],
)
def test_marks_alone_are_nothing_to_say(text: str, speakable: bool) -> None:
    assert is_speakable(text) is speakable
