"""How English words sound: text to the phonemes that the models were trained on."""

from __future__ import annotations

import logging
import re
import threading
from typing import Protocol

from hibari.g2p import G2P

_log = logging.getLogger(__name__)
_UNKNOWN_WORD = "Zyxomatic"
_BREAK = re.compile(r"(?<=[.!?;:,—…])\s+")


class Grapher(Protocol):
    """What is called a G2P: graphemes to phonemes."""

    def __call__(self, text: str) -> str:
        """Return the phonemes of one line of text."""
        ...


class Pronunciation:
    """The American and the British reading. Takes two seconds and about 160 MB to load; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._british, self._american = (_load(british=british) for british in (True, False))

    def phonemes(self, text: str, *, british: bool) -> str:
        """Return the phonemes of one line of text; empty if it has none."""
        with self._lock:
            return _read(self._british if british else self._american, text)


def cut(phonemes: str, *, most: int) -> list[str]:
    """Cut phonemes into parts of at most `most`: behind punctuation if possible, else between words, else anywhere.

    Parts that have no sound are left out.
    """
    parts: list[str] = []
    rest = phonemes.strip()
    while len(rest) > most:
        ends = [match.start() for match in _BREAK.finditer(rest, 0, most + 1)]
        end = ends[-1] if ends else rest.rfind(" ", 1, most + 1)
        end = end if end > 0 else most
        parts.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [part for part in [*parts, rest] if any(phoneme.isalpha() for phoneme in part)]


def _load(*, british: bool) -> Grapher:
    grapher: Grapher = G2P(british=british)
    grapher(_UNKNOWN_WORD)  # the net for words that are in no dictionary is loaded on first use
    return grapher


def _read(grapher: Grapher, text: str) -> str:
    """Read a line, or what can be read of it: some strings make the rules fail, and one must not cost the text."""
    try:
        return grapher(text)
    except Exception as error:
        words = text.split()
        if len(words) < 2:
            _log.warning("a word of %d characters has no pronunciation: %s", len(text), type(error).__name__)
            return ""
    return " ".join(filter(None, (_read(grapher, word) for word in words)))
