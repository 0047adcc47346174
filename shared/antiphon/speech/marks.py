# ruff: noqa: RUF001 (the marks of other scripts look like those of this one)
"""The characters that end and enclose sentences, in the scripts of the world."""

from __future__ import annotations

import re
import unicodedata

STOP = re.compile(r"[.!?…।॥؟۔։።။]+|[。！？｡]|\n")
"""What may end a sentence."""
AT_ONCE = frozenset("。！？｡")
"""Full stops that no space follows."""
CLAUSE = re.compile(r"[,;:،؛—–)\]][\"'”’»*_]*(?=\s)|[、，；：]|\s(?=[(—–])|\s-(?=\s)")
"""Where a speaker may draw breath: the end of the match, or the start of one that begins with a space."""
QUOTES = frozenset("\"'”’»")
CLOSERS = QUOTES | frozenset(")]}*_~`」』）】〉》〕")
"""What belongs to the sentence before it: quotes, brackets, marks of emphasis."""
CJK_OPENERS = frozenset("「『（【〈《〔“")
CJK_CLOSERS = frozenset("」』）】〉》〕”")

_PICTOGRAPHS = frozenset({"So", "Sk", "Cf", "Mn", "Me"})
_JOINED = frozenset({"Mn", "Mc", "Me", "Sk"})
_JOINER = "\u200d"
_LONGEST_LINK = 200
_LONGEST_CODE = 120


def is_pictograph(character: str) -> bool:
    """Tell whether a character is an emoji or a part of one."""
    return character > "\u200c" and unicodedata.category(character) in _PICTOGRAPHS


def is_cjk(character: str) -> bool:
    """Tell whether a character is of a script that puts no spaces between sentences."""
    return character >= "\u3000" and unicodedata.category(character) == "Lo"


def are_joined(left: str, right: str) -> bool:
    """Tell whether two characters are drawn as one."""
    return _JOINER in (left, right) or unicodedata.category(right) in _JOINED


def open_quotations(text: str, before: int = 0) -> int:
    """Return how many CJK quotations are open after `text`, if so many were `before`."""
    return max(0, before + sum(map(text.count, CJK_OPENERS)) - sum(map(text.count, CJK_CLOSERS)))


def tears_markup(text: str, end: int) -> bool:
    """Tell whether a cut of `text` at `end` goes through a link or a span of code."""
    opened = text.rfind("[", 0, end)
    if opened >= 0 and end - opened < _LONGEST_LINK and text.find("]", opened, end) < 0:
        return True
    target = text.rfind("](", 0, end)
    if target >= 0 and end - target < _LONGEST_LINK and text.find(")", target, end) < 0:
        return True
    tick = text.rfind("`", 0, end)
    return tick >= 0 and end - tick < _LONGEST_CODE and text.count("`", 0, end) % 2 == 1
