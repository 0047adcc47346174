"""Turn what people and language models write into what can be read aloud in English.

Marks of layout (Markdown, HTML) become pauses or nothing, links keep their text, addresses their host. Letters that no
English pronunciation covers are left out, word by word, and so are pictographs and control characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST_WORD = 40
"""Characters; the pronunciation of anything longer takes time that grows with the cube of its length."""
LONGEST_NUMBER = 15
"""Digits that are read as one number; longer runs are read digit by digit."""

_PHONEMES = re.compile(r"\[[^\[\]]+\]\(/[^()\s]*[ˈˌ][^()]*/\)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_ADDRESS = re.compile(r"(?:https?|ftp|wss?)://(?:[^\s/@]*@)?([^\s/?#:]+)[^\s]*")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>")
_FENCE = re.compile(r"^\s*(```|~~~).*$")
_RULE = re.compile(r"^\s*([-*_=]\s*){3,}$|^[\s|:-]*\|[\s|:-]*$")
_HEADING_OR_ITEM = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•]\s+)")
_QUOTE = re.compile(r"^\s*(?:>\s?)+")
_EMPHASIS = re.compile(r"[*`]+|~~|(?<!\w)_+|_+(?!\w)")
_DIGITS = re.compile(rf"\d{{{LONGEST_NUMBER + 1},}}")
_LONG = re.compile(rf"[^\s]{{{LONGEST_WORD + 1},}}")
_PUNCTUATION_RUN = re.compile(r"([^\w\s])\1{3,}")
_END = tuple(".!?…:;,")
_LINE_SPACE = re.compile(r"[^\S\n]+")


def speakable(text: str) -> str:
    """Return what of `text` can be spoken; paragraphs stay apart. Empty if nothing can."""
    lines = [_unmark(line) for line in unicodedata.normalize("NFC", text).splitlines() if not _FENCE.match(line)]
    plain = "\n".join("" if _RULE.match(line) else line for line in lines)
    plain = "".join(map(_readable, plain))
    plain = _PUNCTUATION_RUN.sub(lambda run: run[1] * 3, plain)
    plain = _DIGITS.sub(lambda run: " ".join(run[0]), plain)
    plain = _LONG.sub(_divide, plain)
    plain = _LINE_SPACE.sub(" ", plain).strip()
    return plain if any(character.isalnum() for character in plain) else ""


def _unmark(line: str) -> str:
    line = _QUOTE.sub("", line)
    if _RULE.match(line):
        return ""
    line, listed = _HEADING_OR_ITEM.subn("", line)
    line = _LINK.sub(lambda link: link[0] if _PHONEMES.fullmatch(link[0]) else link[1], line)
    line = _ADDRESS.sub(lambda address: address[1].rstrip(".,;:!?)").replace(".", " dot "), line)
    line = _TAG.sub(" ", line)
    line = _EMPHASIS.sub("", line).replace("_", " ")
    if line.strip().startswith("|"):
        line = ", ".join(cell.strip() for cell in line.strip().strip("|").split("|"))
        listed = 1
    line = line.rstrip()
    # A heading or an item of a list ends like a sentence, or it would run into the next one.
    return f"{line}." if listed and line and not line.endswith(_END) else line


@lru_cache(maxsize=4096)
def _readable(character: str) -> str:
    """Return the character, a plain form of it, or a space."""
    if character == "\n" or " " <= character <= "~":
        return character
    category = unicodedata.category(character)
    if category[0] == "L":
        plain = unicodedata.normalize("NFKC", character)
        return next((form for form in (character, plain) if _is_pronounced(form)), " ")
    if category[0] in "NP" or category == "Sc" or character in "°±×÷©®™":  # noqa: RUF001 (the sign of multiplication)
        return character
    if category in {"Mn", "Me", "Cf"}:
        return ""
    return " "


def _is_pronounced(letters: str) -> bool:
    return letters.isascii() or unicodedata.name(letters[0], "").startswith(("LATIN", "GREEK", "MODIFIER LETTER"))


def _divide(word: re.Match[str]) -> str:
    text = word[0]
    return " ".join(text[start : start + LONGEST_WORD] for start in range(0, len(text), LONGEST_WORD))
