"""When a decoding is good enough, and what to try when it is not: decisions on values, no model."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Temperatures, from the one that is most likely right to the one that most likely escapes a loop."""

MAX_COMPRESSION_RATIO = 2.4
"""Text that compresses better than this repeats itself."""
MIN_AVG_LOGPROB = -1.0
"""Text less likely than this is guessed."""
MAX_NO_SPEECH = 0.6
"""Probability of silence above which unlikely text is none."""
MAX_HISTORY_TEMPERATURE = 0.5
"""Text found at a higher temperature is no good history for what follows."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What a window was decoded to at one temperature."""

    tokens: tuple[int, ...]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float

    @property
    def repetitive(self) -> bool:
        """Whether the text repeats itself."""
        return self.compression_ratio > MAX_COMPRESSION_RATIO

    @property
    def silent(self) -> bool:
        """Whether the text is to be taken for silence."""
        return self.no_speech_prob > MAX_NO_SPEECH and self.avg_logprob <= MIN_AVG_LOGPROB

    @property
    def accepted(self) -> bool:
        """Whether no other temperature needs to be tried."""
        return self.silent or not (self.repetitive or self.avg_logprob < MIN_AVG_LOGPROB)


def temperatures(asked: float) -> tuple[float, ...]:
    """Return what to try, in order: the whole ladder for 0, else just what was asked for."""
    return LADDER if asked == 0.0 else (asked,)


def choose(attempts: Sequence[Attempt]) -> Attempt:
    """Return the attempt to keep, out of one or more in the order in which they were made.

    When none was accepted it is the likeliest that does not repeat itself, and counts as found at the last temperature.
    """
    last = attempts[-1]
    if last.accepted:
        return last
    best = max([a for a in attempts if not a.repetitive] or attempts, key=lambda attempt: attempt.avg_logprob)
    return replace(best, temperature=last.temperature)


def compression_ratio(text: str) -> float:
    """Return how many times shorter `text` gets by compression; 0 for nothing."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
