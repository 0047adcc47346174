"""Where the sentence at the beginning of a text ends, told from no more of the text than is needed.

What is decided for a text holds for every longer text that begins with it: a text may be cut while it is written.
White space in it is one space, one newline, or two newlines for the end of a paragraph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from antiphon.speech.lines import starts_block
from antiphon.speech.marks import (
    AT_ONCE,
    CJK_CLOSERS,
    CJK_OPENERS,
    CLAUSE,
    CLOSERS,
    QUOTES,
    STOP,
    are_joined,
    is_cjk,
    is_pictograph,
    open_quotations,
    tears_markup,
)
from antiphon.speech.sentences import ends_before

LONGEST_PIECE = 400
"""Characters after which a sentence is cut between two words, or anywhere if it has only one."""
SHORTEST_CLAUSE = 24

_MARKER = re.compile(r"[-#>*+•_\s(]{0,12}(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})$")
_WORD = re.compile(r"[^\W_]")
_ROW = "|"
_ADDRESS = re.compile(r"(?:://|@|^www\.)\S*$")
_LAST_WORD = re.compile(r"\S*$")
_WINDOW = 80
"""Characters before a full stop that tell whether it ends a sentence."""
_FAR = 16
"""Signs between a full stop and the next word."""
_LONGEST_STARTER = 12
_STARTER = re.compile(rf"[^\W\d_]{{1,{_LONGEST_STARTER}}}")


@dataclass(frozen=True, slots=True)
class Cut:
    """The sentence is `text[:end]`; the first `seen` characters of the text tell so."""

    end: int
    seen: int


@dataclass(frozen=True, slots=True)
class Open:
    """No end in sight; nothing before `resume` will turn into one."""

    resume: int


@dataclass(frozen=True, slots=True)
class No:
    """The sentence does not end at a place; the first `seen` characters of the text tell so."""

    seen: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sentence begins.

    `block`: a newline ends the line that it begins in. `listed`: it begins that line. `quoted`: so many CJK quotations
    are open.
    """

    block: bool = False
    listed: bool = True
    quoted: int = 0


def find_end(text: str, place: Place, *, resume: int, longest: int, language: str) -> Cut | Open:
    """Return where the first sentence of `text` ends: the cut that the fewest characters tell.

    A sentence of more than `longest` characters may be cut at a clause. `resume` is what the last call for a shorter
    text returned.
    """
    found = _sentence_end(text, place, resume=resume, language=language)
    if len(text) <= longest or (isinstance(found, Cut) and found.seen <= longest + 1):
        return found
    clause = _clause_end(text, longest)
    if clause is None or (isinstance(found, Cut) and found.seen <= clause.seen):
        return found
    return clause


def _sentence_end(text: str, place: Place, *, resume: int, language: str) -> Cut | Open:
    word = _WORD.search(text)
    first_word = word.start() if word else len(text)
    seen = 0
    for stop in STOP.finditer(text, resume):
        start = stop.start()
        found: Cut | Open | No
        if text[start] == "\n":
            found = Cut(start, stop.end()) if place.block else _line_end(text, start)
        elif stop.end() == len(text) and text[start] not in AT_ONCE:
            found = Open(start)  # more full stops may follow
        elif first_word < start and not _is_numbering(text, start, place):
            found = _stop_end(text, stop, place, language=language)
            if isinstance(found, Cut) and tears_markup(text, found.end):
                found = No(found.seen)
        else:
            found = No(stop.end())
        if isinstance(found, Open):
            return found
        # An end is known no sooner than that there is none before it.
        seen = max(seen, found.seen)
        if isinstance(found, Cut):
            return Cut(found.end, seen)
    return Open(len(text))


def _is_numbering(text: str, start: int, place: Place) -> bool:
    """Tell whether a full stop stands in a row of a table or after the number of an item."""
    return text.startswith(_ROW) or (place.listed and bool(_MARKER.match(text[:start])))


def _line_end(text: str, newline: int) -> Cut | Open | No:
    """Return the cut at a newline, if the sentence does not go on after it."""
    after = newline + 1
    if text[after : after + 1] == "\n":
        return Cut(newline, after + 1)
    starts = starts_block(text, after)
    if starts is None:
        return Open(newline)
    return Cut(newline, starts.seen) if starts.block else No(starts.seen)


def _stop_end(text: str, stop: re.Match[str], place: Place, *, language: str) -> Cut | Open | No:
    """Return the cut after a full stop, if the sentence does not go on after it."""
    start, end = stop.span()
    if text[start] in AT_ONCE:
        return _unspaced_end(text, start, quoted=open_quotations(text[:start], place.quoted))
    end = _skip(text, end, CLOSERS)
    if end == len(text):
        return Open(start)
    if is_cjk(text[end]) and not stop[0].endswith("."):
        return Cut(end, end + 1)
    if text[end].isspace() or is_pictograph(text[end]):
        return _spaced_end(text, stop, _skip_pictographs(text, end), place, language=language)
    return No(end + 1)


def _unspaced_end(text: str, start: int, *, quoted: int) -> Cut | Open | No:
    """Return the cut after a full stop that no space follows: at once, unless a quotation is open."""
    end = start + 1
    if not quoted:
        return Cut(end, end)
    if end < len(text) and text[end] not in CJK_CLOSERS:
        return Cut(end, end + 1)
    end = _skip(text, end, CJK_CLOSERS)
    if end == len(text):
        return Open(start)
    if text[end] == "\n":
        return _line_end(text, end)
    return Cut(end, end + 1) if text[end] in CJK_OPENERS else No(end + 1)


def _spaced_end(text: str, stop: re.Match[str], end: int, place: Place, *, language: str) -> Cut | Open | No:
    """Look for the next word: what it is tells whether the sentence ends at `end`."""
    at, seen = end, 0
    while at < len(text) and not text[at].isalnum():
        if text[at] == "\n":
            line = Cut(at, at + 1) if place.block else _line_end(text, at)
            if isinstance(line, Open):
                return Open(stop.start())
            if isinstance(line, Cut):
                return Cut(end, line.seen)
            seen = max(seen, line.seen)
        at += 1
        if at - end > _FAR:
            return Cut(end, max(seen, at))
    if at == len(text):
        return Open(stop.start())
    found: Cut | Open | No
    if _goes_on(text, stop, at):
        found = No(at + 1)
    elif stop[0] in {".", "!", "?"} and not _is_address(text, stop.start()):
        found = _ruled(text, stop, end, at, language=language)
    else:
        found = Cut(end, at + 1)
    return found if isinstance(found, Open) else replace(found, seen=max(seen, found.seen))


def _goes_on(text: str, stop: re.Match[str], at: int) -> bool:
    """Tell whether the word at `at` continues the sentence: "Why?" she asked. Well... yes."""
    if not text[at].islower():
        return False
    return len(stop[0]) > 1 or stop[0] == "…" or text[stop.end()] in QUOTES or _is_address(text, stop.start())


def _is_address(text: str, end: int) -> bool:
    word = _LAST_WORD.search(text[max(0, end - _WINDOW) : end])
    return word is not None and bool(_ADDRESS.search(word[0]))


def _ruled(text: str, stop: re.Match[str], end: int, at: int, *, language: str) -> Cut | Open | No:
    """Ask the rules of the language, first for the next letter, then for the next word: most stops need only one."""
    sentence = text[max(0, stop.start() - _WINDOW) : stop.end()]
    if ends_before(sentence, text[at], language=language):
        return Cut(end, at + 1)
    if not text[at].isupper():
        return No(at + 1)
    word = _STARTER.match(text, at)
    word_end = word.end() if word else at + 1
    if word_end == len(text):
        return Open(stop.start())
    follows = ends_before(sentence, text[at:word_end], language=language)
    return Cut(end, word_end + 1) if follows else No(word_end + 1)


def _clause_end(text: str, longest: int) -> Cut | None:
    """Return the cut in a sentence that is longer than `longest`: at a clause, else late and between two words."""
    best = None
    for clause in CLAUSE.finditer(text, SHORTEST_CLAUSE, LONGEST_PIECE + 1):
        end = clause.start() if clause[0][0].isspace() else clause.end()
        if tears_markup(text, end):
            continue
        if clause.end() >= longest:
            seen = max(longest, clause.end()) + 1
            return best or (Cut(end, seen) if seen <= len(text) else None)
        best = Cut(end, longest + 1)
    if best is not None or len(text) <= LONGEST_PIECE:
        return best
    return Cut(_between_words(text), LONGEST_PIECE + 1)


def _between_words(text: str) -> int:
    end = max(text.rfind(space, SHORTEST_CLAUSE, LONGEST_PIECE + 1) for space in " \n")
    if end < 0:
        end = LONGEST_PIECE
        while end > LONGEST_PIECE // 2 and are_joined(text[end - 1], text[end]):
            end -= 1
    return end


def _skip(text: str, at: int, characters: frozenset[str]) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _skip_pictographs(text: str, end: int) -> int:
    """Return the end of the emoji at `end`; there may be a space before each of them."""
    at = end
    while at < len(text) and (text[at] == " " or is_pictograph(text[at])):
        at += 1
        end = end if text[at - 1] == " " else at
    return end
