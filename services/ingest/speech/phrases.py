"""A transcript as phrases, each with its words as they were said and as they are written."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from antiphon.schemas import Segment, Transcript, Word
from services.ingest.speech.chances import Chances


@dataclass(frozen=True)
class SpokenWord:
    """A word in time: `plain` without punctuation around it, `written` with it. Times in seconds.

    `confidence` is the mean probability of its tokens, where the transcript has them.
    """

    plain: str
    written: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True)
class Phrase:
    """A stretch of speech. `confidence` is the mean probability of its tokens. Times in seconds."""

    text: str
    start_s: float
    end_s: float
    confidence: float
    words: tuple[SpokenWord, ...]


def phrases_of(transcript: Transcript) -> tuple[Phrase, ...]:
    """Return the segments that say something, with their words where the transcript has them."""
    waiting = deque(transcript.words or ())
    chances = Chances(transcript.logprobs or ())
    phrases = []
    segments = [segment for segment in transcript.segments if segment.text.strip()]
    for index, segment in enumerate(segments):
        text = segment.text.strip()
        chances.enter(text)
        found = _take(waiting, text, segment, last=index == len(segments) - 1)
        phrases.append(
            Phrase(
                text=text,
                start_s=max(0.0, segment.start),
                end_s=max(0.0, segment.start, segment.end),
                confidence=round(math.exp(min(0.0, segment.avg_logprob)), 4),
                words=tuple(_spoken(text, found, chances)),
            )
        )
    return tuple(phrases)


def _take(waiting: deque[Word], text: str, segment: Segment, *, last: bool) -> list[tuple[int, Word]]:
    """Take the words that stand in `text`, in order, with their places; of those that do not, the ones of its time."""
    found: list[tuple[int, Word]] = []
    at = 0
    while waiting:
        place = text.find(waiting[0].word, at)
        if place < 0 and not last and waiting[0].end > segment.end:
            break
        word = waiting.popleft()
        if place >= 0:
            at = place + len(word.word)
        found.append((place, word))
    return found


def _spoken(text: str, found: Sequence[tuple[int, Word]], chances: Chances) -> Iterable[SpokenWord]:
    placed = [(place, word) for place, word in found if place >= 0]
    bounds = iter(_written(text, [(place, place + len(word.word)) for place, word in placed]))
    for place, word in found:
        written = next(bounds) if place >= 0 else word.word
        yield SpokenWord(
            plain=word.word,
            written=written,
            start_s=max(0.0, word.start),
            end_s=max(0.0, word.start, word.end),
            confidence=chances.of(text, place, word.word) if place >= 0 else None,
        )


def _written(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Cut `text` into a piece for each span. What touches a word goes with it, rather with the one before."""
    pieces, start = [], 0
    for index, (_, end) in enumerate(spans):
        upto = spans[index + 1][0] if index + 1 < len(spans) else len(text)
        gap = text[end:upto]
        own = gap.split(None, 1)[0] if gap[:1].strip() else ""
        cut = len(text) if index + 1 == len(spans) else end + len(own)
        pieces.append(" ".join(text[start:cut].split()))
        start = cut
    return pieces
