# ruff: noqa: RUF001, RUF002 (the letters and marks of other scripts look like those of this one)
"""The letters of all scripts as those that an English voice has a pronunciation for.

An alphabet is transliterated, so that something close to the words is said. What is not written as it sounds for
somebody who knows only its letters is named, "Arabic text": silence would pass for an answer that was never given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from anyascii import anyascii

_LATIN_END = "\u00ff"
"""The last of the letters that English dictionaries know beside the plain ones, é and ñ and ö."""
_ALPHABETS = ("CYRILLIC", "GREEK", "ARMENIAN", "GEORGIAN")
_SYLLABLES = ("HANGUL",)
_KANA = ("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA")
_HAN = ("CJK",)
_VOWELLESS = ("ARABIC", "HEBREW", "SYRIAC", "THAANA")
_INDIC = (
    "BENGALI",
    "DEVANAGARI",
    "GUJARATI",
    "GURMUKHI",
    "KANNADA",
    "MALAYALAM",
    "ORIYA",
    "SINHALA",
    "TAMIL",
    "TELUGU",
)
_OTHERS = ("ETHIOPIC", "KHMER", "LAO", "MONGOLIAN", "MYANMAR", "THAI", "TIBETAN")
_NAMED = _VOWELLESS + _INDIC + _OTHERS
_JAPANESE = "Japanese text"
_AGAIN = re.compile(r"\b([A-Z][a-z]+ text)\b(?:[\s.,:;!?…\"'()-]*\b\1\b)+")
_MARKS = "。. ｡. ．. ！! ？? 、, ，, ；; ：: ؟? ،, ؛; ।. ॥. ۔. ։. ።. ။."
_BRACKETS = '「" 」" 『" 』" （( ）) 【( 】)'
_PUNCTUATION = str.maketrans(
    {mark[0]: f"{mark[1]} " for mark in _MARKS.split()}
    | {mark[0]: f" {mark[1]}" if mark[0] in "「『（【" else f"{mark[1]} " for mark in _BRACKETS.split()}
    | {"・": " ", "〜": "~", "№": "No. "}
)
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_MICRO = re.compile(r"\u03bc(?=[A-Za-z]\b)")
_SMALL_Y = {"ゃ": "a", "ゅ": "u", "ょ": "o"}
_KEPT_SIGNS = frozenset("°±×÷©®™√∞≈≠≤≥→⇒−²³½¼¾\u00a0\u2009\u202f")
"""Signs that have a reading, and the spaces that stand between the digits of a number."""


def legible(text: str) -> str:
    """Return `text` in Latin letters, ASCII digits and the marks that have a meaning when read."""
    if text.isascii():
        return _CONTROLS.sub(" ", text)
    text = _MICRO.sub("µ", unicodedata.normalize("NFC", text).translate(_PUNCTUATION))
    scripts = set(map(_script, text))
    japanese = "kana" in scripts and "han" in scripts
    read = "".join(_read(script, run, japanese=japanese) for script, run in _runs(text))
    return _AGAIN.sub(r"\1", read)


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Yield stretches of one script. Marks belong to the letter before them."""
    script, start = "", 0
    for index, character in enumerate(text):
        found = _script(character)
        if found not in {script, "mark"}:
            if start < index:
                yield script, text[start:index]
            script, start = found, index
    if start < len(text):
        yield script, text[start:]


@lru_cache(maxsize=8192)
def _script(character: str) -> str:
    if character <= _LATIN_END or "\ue000" <= character <= "\uf8ff":
        return "kept"
    category = unicodedata.category(character)
    if category[0] == "M" or category in {"Cf", "Lm"}:
        return "mark"
    if category[0] != "L":
        return "sign"
    name = unicodedata.name(character, "")
    for script, names in (
        ("alphabet", _ALPHABETS),
        ("syllables", _SYLLABLES),
        ("kana", _KANA),
        ("han", _HAN),
        ("named", _NAMED),
    ):
        if name.startswith(names) and (script != "alphabet" or not unicodedata.normalize("NFKC", character).isascii()):
            return script if script != "named" else name.partition(" ")[0].title()
    return "other"


def _read(script: str, run: str, *, japanese: bool) -> str:
    if japanese and script in {"kana", "han"}:
        return f" {_JAPANESE} "
    reading = _READINGS.get(script)
    return reading(run) if reading else f" {script} text "


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if character == "\n" or category[0] in "LP" or category in {"Nd", "Sc", "Co"} or " " <= character <= "~":
        return character
    if category[0] == "M" or category == "Cf":
        return ""
    return character if character in _KEPT_SIGNS else _ascii(character) if category == "No" else " "


@lru_cache(maxsize=4096)
def _sign(character: str) -> str:
    category = unicodedata.category(character)
    if (category[0] in "MC" and category != "Cc") or category == "Lm":
        return "" if category != "Cn" else " "
    if category[0] == "N":
        digit = unicodedata.digit(character, None)
        return _ascii(character) if digit is None or category != "Nd" else str(digit)
    if category[0] == "P" or category == "Sc" or character in _KEPT_SIGNS:
        return character
    return _ascii(character)


def _ascii(character: str) -> str:
    """Return the plain form of a sign, a space if it has none: ℃ is °C, ⅓ is 1⁄3, an emoji nothing."""
    plain = unicodedata.normalize("NFKC", character)
    return plain if plain != character and all(part.isascii() or part in "°⁄" for part in plain) else " "


@lru_cache(maxsize=4096)
def _other(character: str) -> str:
    """Return a letter of Latin in another shape or with rare marks, a space for one of an unknown script."""
    plain = unicodedata.normalize("NFKC", character)
    if plain.isascii():
        return plain
    return anyascii(character) if "LATIN" in unicodedata.name(character, "") else " "


def _transliterated(word: str) -> str:
    letters = [character for character in word if _script(character) == "alphabet"]
    if len(letters) == 1 and unicodedata.name(letters[0]).startswith("GREEK"):
        return f" {unicodedata.name(letters[0]).split(' LETTER ')[-1].split()[0].lower()} "
    return re.sub(r"['`]", "", anyascii(word))


def _romaji(kana: str) -> str:
    """Return kana as they sound: the small ones change the syllable before or double the consonant after them."""
    sounds = ""
    for character in map(_hiragana, unicodedata.normalize("NFKC", kana)):
        if character in _SMALL_Y and sounds.endswith("i"):
            glide = "" if sounds.endswith(("shi", "chi", "ji")) else "y"
            sounds = sounds[:-1] + glide + _SMALL_Y[character]
        elif character in {"っ", "ー"}:
            sounds += character
        else:
            sound = anyascii(character)
            sounds = sounds[:-1] + sound[:1] if sounds.endswith("っ") else sounds
            sounds += sound
    return sounds.replace("っ", "").replace("ー", "")


def _hiragana(character: str) -> str:
    return chr(ord(character) - 0x60) if "ァ" <= character <= "ヶ" else character


def _letterwise(reading: Callable[[str], str]) -> Callable[[str], str]:
    return lambda run: "".join(map(reading, run))


_READINGS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "kept": _letterwise(_kept),
        "sign": _letterwise(_sign),
        "mark": _letterwise(_sign),
        "other": _letterwise(_other),
        "alphabet": _transliterated,
        "syllables": lambda run: anyascii(run).lower(),
        "kana": _romaji,
        "han": lambda run: f" {' '.join(map(anyascii, run)).lower()} ",
    }
)
