"""What a language model is asked, and what is made of its answer."""

from __future__ import annotations

import pytest

from services.realtime.interpreting.wording import as_delta, read_translation, translation_job

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("answer", "translation"),
    [
        ("Hola.", "Hola."),
        (' "Hola."\n', "Hola."),
        ("„Guten Tag.“", "Guten Tag."),
        ("「おはよう。」", "おはよう。"),
        ('"Hola.', "Hola."),
        ("Dice:\n\n«Hola».", "Dice: «Hola»."),
        ('"Hola", dice.', '"Hola", dice.'),
        ("", ""),
        ('"', ""),
    ],
)
def test_an_answer_is_read_without_what_is_around_it(answer: str, translation: str) -> None:
    assert read_translation(answer) == translation


def test_an_answer_without_end_is_cut() -> None:
    assert len(read_translation("la " * 10_000)) <= 4096


def test_sentences_are_appended_as_their_language_is_written() -> None:
    assert as_delta("Hola.", language="es", first=True) == "Hola."
    assert as_delta("Hola.", language="es", first=False) == " Hola."
    assert as_delta("おはよう。", language="ja", first=False) == "おはよう。"


def test_a_short_sentence_is_given_few_tokens_and_no_more_than_a_turn_has() -> None:
    asked = {"id": "tr_1", "target": "es", "before": (), "model": "m", "tenant": "t", "created_ms": 0}
    short = translation_job(text="Hi.", most_tokens=4_096, **asked)  # type: ignore[arg-type]
    long = translation_job(text="Hi. " * 2_000, most_tokens=4_096, **asked)  # type: ignore[arg-type]
    assert short.options.max_tokens == 73
    assert long.options.max_tokens == 4_096
