"""When each word was said, from the model's alignment of tokens to sound. Values in, values out."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from antiphon.schemas import Word

STEP_S = 0.02
"""Seconds of sound in a step of an alignment."""

_LONGEST_MEDIAN_S = 0.7
_OUTLIER = 2.0
"""A word this many times longer than the median has a pause in it."""

_SENTENCE_ENDS = tuple(".!?…。！？")  # noqa: RUF001 - as it stands in text
_PUNCTUATION = "\"'“”‘’«»„‹›¡¿()[]{}<>.,!?:;…-–—~*。，、！？：；（）「」『』【】《》"  # noqa: RUF001 - as it stands in text


@dataclass(frozen=True)
class Sounded:
    """A group of tokens that is written as one word, with the space and punctuation around it."""

    text: str
    start_s: float
    end_s: float
    tokens: int


def time_groups(
    groups: Sequence[tuple[str, int]], pairs: Iterable[tuple[int, int]], *, offset_s: float
) -> list[Sounded]:
    """Give times to groups of tokens, each its text and its number of tokens.

    `pairs` aligns tokens, counted from 0, to steps of sound, both rising; one token more than the groups have marks
    the end. `offset_s` is where the first step lies in the recording.
    """
    onsets = [next(steps)[1] for _, steps in itertools.groupby(pairs, key=lambda pair: pair[0])]
    bounds = list(itertools.accumulate((size for _, size in groups), initial=0))
    if not onsets:
        return []
    at = [offset_s + onsets[min(bound, len(onsets) - 1)] * STEP_S for bound in bounds]
    return [
        Sounded(text, start, max(start, end), size)
        for (text, size), start, end in zip(groups, at, at[1:], strict=False)
    ]


def words_by_segment(sounded: Sequence[Sounded], sizes: Sequence[int], *, last_s: float) -> Iterator[tuple[Word, ...]]:
    """Yield the words of each segment, `sizes` being their numbers of tokens; none ends after `last_s`."""
    durations = [s.end_s - s.start_s for s in sounded if s.end_s > s.start_s]
    median = min(statistics.median(durations), _LONGEST_MEDIAN_S) if durations else 0.0
    queue = iter(sounded)
    for size in sizes:
        taken = 0
        part: list[Sounded] = []
        while taken < size and (word := next(queue, None)) is not None:
            part.append(word)
            taken += word.tokens
        yield tuple(_write(_without_pauses(part, longest_s=median * _OUTLIER), last_s=last_s))


def _without_pauses(words: Sequence[Sounded], *, longest_s: float) -> Iterator[Sounded]:
    """Shorten words into which the alignment has counted a pause: at its start after one, at its end before one."""
    opening = True
    for word in words:
        ends = word.text.rstrip().endswith(_SENTENCE_ENDS)
        if word.end_s - word.start_s <= longest_s:
            yield word
        elif opening:
            yield replace(word, start_s=word.end_s - longest_s)
        elif ends:
            yield replace(word, end_s=word.start_s + longest_s)
        else:
            yield word
        opening = ends


def _write(words: Iterable[Sounded], *, last_s: float) -> Iterator[Word]:
    for word in words:
        plain = word.text.strip().strip(_PUNCTUATION).strip()
        if plain:
            start_s = min(max(word.start_s, 0.0), last_s)
            yield Word(word=plain, start=start_s, end=min(max(word.end_s, start_s), last_s))
