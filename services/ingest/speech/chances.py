"""How sure the recogniser was of a word: its tokens, found by where the word stands in the text."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from antiphon.schemas import TokenLogprob


class Chances:
    """The tokens of a transcript, which is walked through phrase by phrase."""

    def __init__(self, tokens: Sequence[TokenLogprob]) -> None:
        self._tokens = tokens
        self._text = b"".join(bytes(token.bytes) for token in tokens)
        self._starts = list(itertools.accumulate((len(token.bytes) for token in tokens), initial=0))[:-1]
        self._phrase = -1
        self._cursor = 0

    def enter(self, phrase: str) -> None:
        """Go on to the next phrase."""
        encoded = phrase.encode()
        self._phrase = self._text.find(encoded, self._cursor)
        if self._phrase >= 0:
            self._cursor = self._phrase + len(encoded)

    def of(self, phrase: str, place: int, word: str) -> float | None:
        """Return the mean probability of the tokens of a word at `place` of the phrase; None when that is unknown."""
        if self._phrase < 0 or not word:
            return None
        start = self._phrase + len(phrase[:place].encode())
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_left(self._starts, start + len(word.encode()))
        logprobs = [token.logprob for token in self._tokens[first:last]]
        return round(math.exp(min(0.0, sum(logprobs) / len(logprobs))), 4) if logprobs else None
