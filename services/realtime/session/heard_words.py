"""Which words of an answer have been heard when its sound is broken off."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from services.realtime.session.state import Passage


def words_before(script: Sequence[Passage], end_ms: int) -> str:
    """Return what is said in the first `end_ms` of a sound; a word that is cut in two is left out."""
    heard = []
    for passage in script:
        if passage.stop_ms <= end_ms:
            heard.append(passage.text)
        elif passage.start_ms < end_ms:
            heard.append(whole_words(passage.text, _characters_at(passage, end_ms)))
    return " ".join(part for part in heard if part)


def _characters_at(passage: Passage, end_ms: int) -> float:
    """Return how many characters are said at a moment; between two that are known, speech is even."""
    known = [(passage.start_ms, 0), *passage.marks, (passage.stop_ms, len(passage.text))]
    for (from_ms, said), (to_ms, next_said) in pairwise(known):
        if from_ms <= end_ms < to_ms:
            return said + (next_said - said) * (end_ms - from_ms) / (to_ms - from_ms)
    return len(passage.text)


def whole_words(text: str, characters: float) -> str:
    """Return the words of a text that are complete within so many characters."""
    count = int(characters)
    if count >= len(text) or text[count].isspace():
        return text[:count].rstrip()
    return text[: text.rfind(" ", 0, count) + 1].rstrip()
