from __future__ import annotations

import pytest

from antiphon.languages import language_code, language_name

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("zh-Hant-TW", "zh"),
        ("eng", "en"),
        ("deu", "de"),
        ("ger", "de"),
        ("cmn", "zh"),
        ("jv", "jw"),
        ("nb-NO", "no"),
        ("yue", "yue"),
        ("english", "en"),
        (" French ", "fr"),
        ("Haitian Creole", "ht"),
        ("mandarin", "zh"),
    ],
)
def test_a_language_is_known_by_all_its_usual_spellings(spelling: str, code: str) -> None:
    assert language_code(spelling) == code


@pytest.mark.parametrize("spelling", ["", "xx", "klingon", "e", "-", "en us"])
def test_what_is_no_language_is_not_guessed(spelling: str) -> None:
    assert language_code(spelling) is None


def test_a_language_is_named_in_lower_case_english() -> None:
    assert [language_name(code) for code in ("en", "de", "zh", "ht")] == [
        "english",
        "german",
        "chinese",
        "haitian creole",
    ]
    assert language_name("tlh") == "tlh"
