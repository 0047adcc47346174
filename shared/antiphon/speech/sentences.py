"""The sentences of a text."""

from __future__ import annotations

import re

import sentencex

_PARAGRAPH = re.compile(r"\n\s*\n")
_SURROGATE = re.compile("[\ud800-\udfff]")


def sentences(text: str, *, language: str = "en") -> list[str]:
    """Return the sentences of `text`, each on one line, none empty; together they hold every word, in order.

    `language` is an ISO-639-1 code; its abbreviations do not end a sentence. An unknown one is treated like English.
    Halves of surrogate pairs, which are no characters, become U+FFFD.
    """
    found = []
    for paragraph in _PARAGRAPH.split(text):
        for sentence in _segment(paragraph, language):
            line = " ".join(sentence.split())
            if line:
                found.append(line)
    return found


def ends_before(sentence: str, word: str, *, language: str) -> bool:
    """Tell whether `sentence`, whose last character is a full stop, ends there if `word` follows."""
    return _segment(f"{sentence} {word}", language)[-1] == word


def _segment(text: str, language: str) -> list[str]:
    segments: list[str] = sentencex.segment(language, _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
    return segments
