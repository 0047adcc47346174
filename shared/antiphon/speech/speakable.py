"""Whether there is anything in a text to be said aloud."""

from __future__ import annotations

_FENCES = ("```", "~~~")


def is_speakable(text: str) -> bool:
    """Tell whether a text has a word, a number or a block of code, not only marks and emoji."""
    return text.startswith(_FENCES) or any(map(str.isalnum, text))
