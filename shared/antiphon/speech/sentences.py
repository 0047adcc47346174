"""The sentences of a text."""

from __future__ import annotations

import re

import sentencex

_PARAGRAPH = re.compile(r"\n\s*\n")


def sentences(text: str, *, language: str = "en") -> list[str]:
    """Return the sentences of `text`, each on one line, none empty; together they hold every word, in order.

    `language` is an ISO-639-1 code; its abbreviations do not end a sentence. An unknown one is treated like English.
    """
    found = []
    for paragraph in _PARAGRAPH.split(text):
        for sentence in sentencex.segment(language, paragraph):
            line = " ".join(sentence.split())
            if line:
                found.append(line)
    return found
