# ruff: noqa: RUF001 (the letters of other scripts look like those of this one)
from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.speech import SentenceStream, is_speakable
from services.synthesizer.notation import LONGEST_NUMBER
from services.synthesizer.script import LONGEST_WORD, speakable

pytestmark = pytest.mark.unit

LAYOUT = [
    ("Plain words, as they are: 3.5 & 7 < 9.", "Plain words, as they are: 3.5 & 7 < 9."),
    ("# A heading\nText", "A heading.\n\nText"),
    ("Title\n---\nText", "Title.\n\nText"),
    ("- one\n- two\n  - three", "one.\ntwo.\nthree."),
    ("1. Open it\n2. Close it!", "1: Open it.\n2: Close it!"),
    ("2. Close it", "2: Close it."),
    ("- [ ] todo\n- [x] ready", "todo.\nDone: ready."),
    ("**bold** and _soft_ and `code` in snake_case, ~~old~~ new", "bold and soft and code in snake case, old new"),
    ("**Begun in one sentence.", "Begun in one sentence."),
    ("ended** in the next", "ended in the next"),
    ("see [the docs](https://example.com/a?b=c) now", "see the docs now"),
    ("see [the docs](/docs/) now", "see the docs now"),
    ("![a cat](cat.png)", "a cat"),
    ("Go to https://www.example.com/a?b=c. Now.", "Go to www dot example dot com. Now."),
    ("(<http://ann:pass@example.org/x>)", "(example dot org)"),
    ("Write to ann.lee@example.com, please.", "Write to ann dot lee at example dot com, please."),
    ("say [hibari](/hib\u02c8\u0251\u0279i/) now", "say [hibari](/hib\u02c8\u0251\u0279i/) now"),
    ("> quoted\n> text", "quoted\ntext"),
    ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b.\n1, 2."),
    ("| 1 | 2 |", "1, 2."),
    ("So:\n```python\nx = 1\n```\nDone.", "So:\n\nCode block, python.\n\nDone."),
    ("```\n```", "Code block."),
    ("    indented text", "indented text"),
    ("[Ann]: hello", "[Ann]: hello"),
    ("As said.[^1]", "As said."),
    ("<b>strong</b> a<br>b &amp; c", "strong a\nb & c"),
    ("One paragraph\n\n\n\nand another", "One paragraph\n\nand another"),
    ("wait!!!!!!", "wait!!!"),
    ("bell\x07 and\x00nul", "bell and nul"),
]
NUMBERS = [
    ("3.14 and 1,234,567 and 21st", "3.14 and 1,234,567 and 21st"),
    ("$3.50, 50% at 10:30 on 2026-11-22", "$3.50, 50% at 10:30 on 2026-11-22"),
    ("Python 3.10 and 2.0", "Python 3 point 1 0 and 2 point 0"),
    ("v1.2.3", "v 1 dot 2 dot 3"),
    ("10.0.0.1:8080", "10 dot 0 dot 0 dot 1 colon 8080"),
    ("am 24.12.2025", "am 2025-12-24"),
    ("19,99 € and 20€ and 1.000,50 € and US$5", "€19.99 and €20 and €1000.50 and $5"),
    ("3,5 and 1,2,3 and 1 000 000", "3.5 and 1, 2, 3 and 1000000"),
    ("1\u00a0234,50\u00a0€ and 12\u202f000", "€1234.50 and 12000"),
    ("£5.99/month", "£5.99 per month"),
    ("agent 007", "agent 0 0 7"),
    ("call +1 555 123 4567 or (555) 123-4567", "call plus 1, 5 5 5, 1 2 3, 4 5 6 7 or 5 5 5, 1 2 3, 4 5 6 7"),
    ("5 m² at 3 m/s, 250 ml, 1 L, 60W", "5 square meters at 3 meters per second, 250 milliliters, 1 liter, 60 watts"),
    ("8 GB/s and 20 °C and 100 km/h", "8 gigabytes per second and 20 °C and 100 kilometers per hour"),
    ("the 1990s, a 5s and 5m people", "the 1990s, a 5s and 5m people"),
    ("2 1/2 cups, 2½, ⅓", "2 and 1/2 cups, 2 and ½, 1/3"),
    ("6'2\" tall", "6 feet 2 inches tall"),
    ("1e-5 and 10²³ and x² and a note³", "1 times 10^-5 and 10^23 and x² and a note³"),
    ("−5 and 3 − 2 and 5 - 3 = 2 and 5 - 10 people", "-5 and 3 minus 2 and 5 minus 3 = 2 and 5 - 10 people"),
    ("2*3*4 and 2**8 and 1920x1080 and 3x", "2 × 3 × 4 and 2^8 and 1920 by 1080 and 3 times"),
    (
        "a >= b, a ≤ b, a != b, a -> b",
        "a greater than or equal to b, a less than or equal to b, a not equal to b, a to b",
    ),
    ("16:9 and 24/7 and 50/50", "16 to 9 and 24 7 and 50 50"),
    ("C# on p. 5 of main.py", "C sharp on page 5 of main dot py"),
    ("Dr. Lee, e.g. Henry VIII vs. No. 5", "Dr. Lee, e.g. Henry VIII vs. No. 5"),
    ("१२ and ١٢ and １２ and Ⅷ and №5", "12 and 12 and 12 and VIII and No. 5"),
]
LETTERS = [
    ("fine 😀 day. Great! 😀", "fine day. Great!"),
    ("👨\u200d👩\u200d👧 1\ufe0f\u20e3 ❤️ 🇩🇪 ok (😀)", "1 ok"),
    ("cafe\u0301, niño, über, garçon", "café, niño, über, garçon"),
    ("Škoda in Łódź", "Skoda in Lódz"),
    ("\U0001d573ello ﬁne ａｂｃ", "Hello fine abc"),
    ("Привет, как дела?", "Privet, kak dela?"),
    ("Καλημέρα", "Kalimera"),
    ("α and 5 μm, Δt", "alpha and 5 µm, delta t"),
    ("안녕하세요.", "annyeonghaseyo."),
    ("ありがとう。コンピューター、きょう、がっこう、ちょっと", "arigatou. konpyuta, kyou, gakkou, chotto"),
    ("你好，世界。", "ni hao, shi jie."),
    ("今日は、元気です。そうですね。", "Japanese text."),
    ("He said: مرحبا بالعالم، كيف حالك؟", "He said: Arabic text?"),
    ("नमस्ते or שלום", "Devanagari text or Hebrew text"),
]


@pytest.mark.parametrize(("written", "spoken"), [*LAYOUT, *NUMBERS, *LETTERS])
def test_what_is_written_becomes_what_is_said(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize("spoken", [spoken for _, spoken in NUMBERS])
def test_what_can_be_read_stays_as_it_is(spoken: str) -> None:
    assert speakable(spoken) == spoken


@pytest.mark.parametrize("text", ["!!!", "😀 😀", "...", " \n ", "---", "\ud800", "|---|", "\u200d", "( ) [ ]"])
def test_nothing_is_left_where_nothing_can_be_said(text: str) -> None:
    assert speakable(text) == ""
    assert not is_speakable(text)


@pytest.mark.parametrize("text", ["日本語", "Привет", "مرحبا", "👍 5", "```\n```", "|a|"])
def test_something_is_said_of_every_text_that_says_something(text: str) -> None:
    assert speakable(text)
    assert is_speakable(text)


@pytest.mark.parametrize(("written", "spoken"), LAYOUT)
def test_a_text_cut_into_sentences_is_read_with_the_same_words(written: str, spoken: str) -> None:
    stream = SentenceStream()
    read = " ".join(speakable(sentence) for sentence in [*stream.feed(written), *stream.finish()])
    assert [word.strip(".") for word in read.split()] == [word.strip(".") for word in spoken.split()]


def test_long_numbers_are_read_digit_by_digit() -> None:
    assert speakable("1" * (LONGEST_NUMBER + 1)) == " ".join("1" * (LONGEST_NUMBER + 1))


@given(st.text())
def test_no_word_is_too_long_to_be_pronounced(text: str) -> None:
    assert all(len(word) <= LONGEST_WORD for word in speakable(text).split())


NOTATION = st.text(alphabet="0123456789.,:/-+*×x'\"²³½€$%°eEmsgkh() \u2212\u00a0", max_size=60)
MARKDOWN = st.text(alphabet="ab1. \n-*_`~#>|[]()!<>\\&;:=", max_size=60)
SCRIPTS = st.text(alphabet="aя가日あアッょم\u0301\u200d😀é，。α μ5\ud800\ue000", max_size=40)


@given(st.one_of(st.text(), NOTATION, MARKDOWN, SCRIPTS))
def test_anything_can_be_given_and_little_comes_of_it(text: str) -> None:
    spoken = speakable(text)
    assert len(spoken) <= 16 * len(text) + 32
    assert spoken == "" or is_speakable(spoken)
    assert not any(character in spoken for character in "\x00\ue000\ud800`")


@given(st.one_of(st.text(), NOTATION, SCRIPTS))
def test_whatever_has_words_is_not_silent(text: str) -> None:
    assert speakable(text) or not any(character.isascii() and character.isalnum() for character in text)


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll"], max_codepoint=0xFF)))
def test_latin_words_are_kept(word: str) -> None:
    assert "".join(speakable(word).split()) == word


HOSTILE = [
    "[",
    "![",
    "[a](",
    "<",
    "<a ",
    "**a",
    "_a",
    "`",
    "> ",
    "- ",
    "* a\n",
    "# a\n",
    "a|b\n-|-\n",
    "|",
    "\\",
    "&amp;",
]
HOSTILE += [
    "9",
    "9,",
    "1.",
    "1 000 ",
    "+1 ",
    "1/2 ",
    "5'2\"",
    "a@",
    "www.",
    "a≥",
    "μm",
    "x²",
    "ع a",
    "日",
    "日あ",
    "ッ",
    "😀",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_longest_text_of_anything_is_ready_soon(text: str) -> None:
    began = time.process_time()
    spoken = speakable((text * 4096)[:4096])
    assert time.process_time() - began < 1.0
    assert len(spoken) <= 5 * 4096
