"""Word error rate: how far what was heard is from what was said."""

from __future__ import annotations

import re
import unicodedata

_BELOW_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_FROM_TWENTY = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = _BELOW_TWENTY.split()
_TENS = ["", "", *_FROM_TWENTY.split()]
_SPELT_OUT = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint", "okay": "ok"}
_LARGEST_SPELT = 999_999
_GROUPED_DIGITS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc]")  # straight, curly both ways, modifier letter
_NOT_A_WORD = re.compile(r"[\W_]+")


def word_error_rate(said: str, heard: str, *, language: str = "en") -> float:
    """Return the edits that turn the words heard into the words said, per word said.

    0 is perfect; above 1 more was made up than was said. Case, punctuation and, in English, the way numbers and titles
    are written do not count. When nothing was said, any word heard counts as one error.
    """
    reference, hypothesis = normalize(said, language=language), normalize(heard, language=language)
    return edit_distance(reference, hypothesis) / max(1, len(reference))


def normalize(text: str, *, language: str = "en") -> list[str]:
    """Return the words of `text`, lower-case and without punctuation; numbers and titles spelt out in English."""
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold())
    words = _NOT_A_WORD.sub(" ", _GROUPED_DIGITS.sub("", plain)).split()
    if language != "en":
        return words
    return [spelt for word in words for spelt in _spell_out(word)]


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Return the least number of words to insert, delete or replace to make one list the other."""
    row = list(range(len(hypothesis) + 1))
    for done, expected in enumerate(reference, start=1):
        diagonal, row[0] = row[0], done
        for column, found in enumerate(hypothesis, start=1):
            cheapest = min(row[column] + 1, row[column - 1] + 1, diagonal + (expected != found))
            diagonal, row[column] = row[column], cheapest
    return row[-1]


def _spell_out(word: str) -> list[str]:
    if word.isascii() and word.isdigit() and int(word) <= _LARGEST_SPELT:
        return _spell_number(int(word))
    return [_SPELT_OUT.get(word, word)]


def _spell_number(number: int) -> list[str]:
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10], *(_spell_number(number % 10) if number % 10 else [])]
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    return [*_spell_number(number // size), name, *(_spell_number(number % size) if number % size else [])]
