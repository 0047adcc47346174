"""Text without its punctuation."""

from __future__ import annotations

import unicodedata

_EDGES = ".,!?;:…\"'()[]{}<>*~-"
_JOINERS = frozenset("'’‐‑·")  # noqa: RUF001 - as they stand in words
"""Punctuation beyond ASCII, or the apostrophe, that is part of a word when it stands inside one."""


def unpunctuated(text: str) -> str:
    """Return text whose punctuation is left out, case kept; what stands inside words and numbers stays.

    >>> unpunctuated("Well, it's 3.5%; isn't it?")
    "Well it's 3.5% isn't it"
    """
    spaced = "".join(" " if _is_foreign_mark(character) else character for character in text)
    words = (word.strip(_EDGES) for word in spaced.split())
    return " ".join(word for word in words if word)


def lexical(text: str) -> str:
    """Return the words of a text in lower case."""
    return unpunctuated(text).lower()


def _is_foreign_mark(character: str) -> bool:
    return (
        not character.isascii() and character not in _JOINERS and unicodedata.category(character).startswith("P")
    ) or character in "…"
