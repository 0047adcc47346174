"""Cut a text into the pieces that an engine is given one by one.

The first piece is short, so that a listener hears something soon; the following ones grow, because every call to a
model pays for the silence around its sound and because longer pieces have the better melody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.speech import sentences
from services.synthesizer.engines import Limits
from services.synthesizer.script import speakable

SENTENCE_PAUSE_S = 0.30
PARAGRAPH_PAUSE_S = 0.60
CLAUSE_PAUSE_S = 0.14
WORD_PAUSE_S = 0.04
LONG = 1.5
"""How much longer than a size a sentence is that may be cut before a joining word."""

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"[.!?…][\"'”\u2019)\]]*$")
_CLAUSE = re.compile(r"(?<=[,;:—\u2013)\]])\s+|\s+(?=[—\u2013(\[])")
_CLAUSE_END = re.compile(r"[,;:—\u2013)\]]$")
_JOINING = "and or but because which who that while when where if so then than as with for from into about after before"
_JOINT = re.compile(rf"\s+(?=(?:{_JOINING.replace(' ', '|')})\b)")


@dataclass(frozen=True)
class Piece:
    """Text for one call of an engine, and the silence before it in seconds at normal speed."""

    text: str
    pause_s: float


def pieces(text: str, limits: Limits) -> Iterator[Piece]:
    """Yield the pieces of `text` in order; none if nothing in it can be spoken."""
    index = 0
    pause_s = 0.0
    for paragraph in _PARAGRAPH.split(speakable(text)):
        waiting = sentences(paragraph)
        while waiting:
            piece, waiting = _take(waiting, limits, index)
            if any(character.isalnum() for character in piece):
                yield Piece(piece, pause_s)
                index += 1
                pause_s = _pause_after(piece)
        if index:
            pause_s = PARAGRAPH_PAUSE_S


def _take(waiting: list[str], limits: Limits, index: int) -> tuple[str, list[str]]:
    """Split off whole sentences that fit the smallest size, or else the beginning of the first one."""
    sizes, shortest = limits.after(index), limits.shortest
    count = size = 0
    for sentence in waiting:
        enough = size > shortest if index == 0 else not limits.packed
        if (count and enough) or size + len(sentence) > sizes[0]:
            break
        size += len(sentence) + 1
        count += 1
    if count:
        return " ".join(waiting[:count]), waiting[count:]
    end = _end_of_part(waiting[0], sizes=sizes, shortest=shortest)
    head, rest = waiting[0][:end].rstrip(), waiting[0][end:].lstrip()
    return head, [rest, *waiting[1:]] if rest else waiting[1:]


def _end_of_part(sentence: str, *, sizes: tuple[int, ...], shortest: int) -> int:
    """Return where to cut a sentence longer than the smallest size.

    The end of a clause sounds natural at any size, the place before a joining word in a long sentence. Only one that is
    longer than the largest size is cut between any two words, or inside a word that is longer still.
    """
    for size in sizes:
        if len(sentence) <= size:
            return len(sentence)
        long = len(sentence) > LONG * size or size == sizes[-1]
        for boundary in (_CLAUSE, _JOINT) if long else (_CLAUSE,):
            latest = min(size, len(sentence) - shortest)
            ends = [match.start() for match in boundary.finditer(sentence) if shortest <= match.start() <= latest]
            if ends:
                return ends[-1]
    space = sentence.rfind(" ", 1, sizes[-1] + 1)
    return space if space > 0 else sizes[-1]


def _pause_after(piece: str) -> float:
    if _SENTENCE_END.search(piece):
        return SENTENCE_PAUSE_S
    return CLAUSE_PAUSE_S if _CLAUSE_END.search(piece) else WORD_PAUSE_S
