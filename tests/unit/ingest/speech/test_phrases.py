from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas import Segment, TokenLogprob, Transcript, Word
from services.ingest.speech.phrases import phrases_of
from services.ingest.speech.text import lexical, unpunctuated

pytestmark = pytest.mark.unit


def segment(text: str, start: float, end: float, *, avg_logprob: float = -0.1) -> Segment:
    return Segment(
        id=0,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=(),
        temperature=0,
        avg_logprob=avg_logprob,
        compression_ratio=1,
        no_speech_prob=0,
    )


def transcript(segments: Sequence[Segment], words: Sequence[Word] | None = None) -> Transcript:
    return Transcript(
        task="transcribe",
        language="en",
        duration=9.0,
        text="".join(each.text for each in segments),
        segments=tuple(segments),
        words=None if words is None else tuple(words),
    )


def word(text: str, start: float) -> Word:
    return Word(word=text, start=start, end=start + 0.2)


def test_words_go_to_the_phrase_in_which_they_stand() -> None:
    spoken = transcript(
        [segment(" Well, “no” — it's 3.5%!", 0, 2), segment(" No. No?", 2, 4)],
        [word("Well", 0.1), word("no", 0.5), word("it's", 1), word("3.5%", 1.5), word("No", 2.1), word("No", 3)],
    )
    first, second = phrases_of(spoken)
    assert [each.plain for each in first.words] == ["Well", "no", "it's", "3.5%"]
    assert [each.written for each in first.words] == ["Well,", "“no”", "— it's", "3.5%!"]
    assert [each.written for each in second.words] == ["No.", "No?"]
    assert first.confidence == round(math.exp(-0.1), 4)


def test_a_word_that_does_not_stand_in_the_text_is_kept_by_its_time() -> None:
    spoken = transcript([segment(" One two.", 0, 1), segment(" Three.", 1, 2)], [word("0ne", 0.1), word("Three", 1.1)])
    first, second = phrases_of(spoken)
    assert [each.written for each in first.words] == ["0ne"]
    assert [each.written for each in second.words] == ["Three."]


def token(text: str, probability: float) -> TokenLogprob:
    return TokenLogprob(token=text, logprob=math.log(probability), bytes=tuple(text.encode()))


def test_the_confidence_of_a_word_is_that_of_its_tokens() -> None:
    spoken = transcript(
        [segment(" Grüße, du.", 0, 1), segment(" Du da.", 1, 2)],
        [word("Grüße", 0.1), word("du", 0.5), word("Du", 1.1), word("da", 1.5)],
    )
    tokens = [("Gr", 0.5), ("üße", 0.5), (",", 0.9), (" du", 0.25), (".", 0.9), (" Du", 0.75), (" da", 1.0), (".", 0.1)]
    first, second = phrases_of(spoken.model_copy(update={"logprobs": tuple(token(*each) for each in tokens)}))
    assert [each.confidence for each in first.words] == [0.5, 0.25]
    assert [each.confidence for each in second.words] == [0.75, 1.0]
    (unknown, _) = phrases_of(spoken)
    assert [each.confidence for each in unknown.words] == [None, None]


def test_silence_has_no_phrases() -> None:
    assert phrases_of(transcript([segment("  ", 0, 1)], [])) == ()


@given(
    st.lists(st.sampled_from(["one", "Two,", "(three)", "«4»", "五。", "—", "a", "…b", "x-y"]), min_size=1, max_size=30)
)
def test_the_words_of_a_phrase_are_its_text(tokens: list[str]) -> None:
    text = " ".join(tokens)
    plain = [stripped for token in tokens if (stripped := token.strip("(),«»。—…"))]
    (phrase,) = phrases_of(transcript([segment(text, 0, 9)], [word(each, 0.1) for each in plain]))
    assert len(phrase.words) == len(plain)
    if plain:
        assert "".join(each.written for each in phrase.words).replace(" ", "") == text.replace(" ", "")
    assert all(each.plain in each.written for each in phrase.words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "Hello world"),
        ("It's 3.5% of 1,000 – isn’t it?", "It's 3.5% of 1,000 isn’t it"),  # noqa: RUF001 - as it stands in text
        ("¿Qué tal? «Bien»…", "Qué tal Bien"),
        ("你好，世界。", "你好 世界"),  # noqa: RUF001 - as it stands in text
        ("Twenty-one (21)", "Twenty-one 21"),
        ("...", ""),
    ],
)
def test_punctuation_is_left_out(text: str, expected: str) -> None:
    assert unpunctuated(text) == expected
    assert lexical(text) == expected.lower()


@given(st.text())
def test_leaving_punctuation_out_twice_changes_nothing(text: str) -> None:
    once = unpunctuated(text)
    assert unpunctuated(once) == once
