# ruff: noqa: RUF001 (the signs of arithmetic look like letters)
"""Numbers, units and signs that are read as something else than is meant, written so that they are read well.

The engines' pronunciation reads plain numbers, prices, percentages, times, dates, ranges, common abbreviations and many
units by itself; only what it gets wrong is here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST_NUMBER = 15
"""Digits that are read as one number; longer runs are read digit by digit."""
_MOST = 256
"""Times that a rule is used in a text, so that signs that become many words do not make it many times as long."""

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_FRACTION_SIGN = "\u2044"
_UNITS = {
    "m": ("meter", "meters"),
    "g": ("gram", "grams"),
    "t": ("ton", "tons"),
    "s": ("second", "seconds"),
    "h": ("hour", "hours"),
    "l": ("liter", "liters"),
    "L": ("liter", "liters"),
    "ml": ("milliliter", "milliliters"),
    "mL": ("milliliter", "milliliters"),
    "µs": ("microsecond", "microseconds"),
    "ns": ("nanosecond", "nanoseconds"),
    "V": ("volt", "volts"),
    "W": ("watt", "watts"),
    "J": ("joule", "joules"),
    "kJ": ("kilojoule", "kilojoules"),
    "kcal": ("kilocalorie", "kilocalories"),
    "dB": ("decibel", "decibels"),
    "Pa": ("pascal", "pascals"),
    "hPa": ("hectopascal", "hectopascals"),
    "kPa": ("kilopascal", "kilopascals"),
    "PB": ("petabyte", "petabytes"),
    "GiB": ("gibibyte", "gibibytes"),
    "MiB": ("mebibyte", "mebibytes"),
    "kB": ("kilobyte", "kilobytes"),
    "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "kbit": ("kilobit", "kilobits"),
    "Mbit": ("megabit", "megabits"),
    "Gbit": ("gigabit", "gigabits"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "ft": ("foot", "feet"),
    "mi": ("mile", "miles"),
    "tbsp": ("tablespoon", "tablespoons"),
    "tsp": ("teaspoon", "teaspoons"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "bpm": ("beat per minute", "beats per minute"),
    "px": ("pixel", "pixels"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
}
_SPACED_UNITS = frozenset("msht")
"""Too short to be told from "5m people", "5s" or "1990s" without a space."""
_PER = {
    "s": "second",
    "sec": "second",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "mo": "month",
    "yr": "year",
    "kg": "kilogram",
    "km": "kilometer",
    "m": "meter",
    "l": "liter",
    "L": "liter",
    "ml": "milliliter",
    **{word: word for word in ("second", "minute", "hour", "day", "night", "week", "month", "year", "person", "user")},
}
_POWERS = {"²": "square", "³": "cubic"}


def _alternatives(words: dict[str, object] | dict[str, str] | dict[str, tuple[str, str]]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_UNIT = re.compile(
    rf"(?<![\w.$€£])({_NUMBER})( ?)({_alternatives(_UNITS)})([²³]?)(?: ?/ ?({_alternatives(_PER)}))?(?![\w²³'])"
)
_PRICE_PER = re.compile(rf"([$€£] ?{_NUMBER}|\d (?:dollars|euros|pounds)) ?/ ?({_alternatives(_PER)})(?!\w)")
_EXPONENT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?)0*(\d{1,3})(?!\w)")
_SUPERSCRIPT = re.compile(r"(?<=[\d)])[⁰¹²³⁴-⁹⁺⁻]+|(?<=\b[A-Za-z])[⁰¹²³⁴-⁹⁺⁻]+|[⁰¹⁴-⁹⁺⁻][⁰¹²³⁴-⁹⁺⁻]*")
_PHONE = re.compile(
    r"(?<![\w.,-])(?:\+\d{1,3}(?:[ .-]\(?\d{1,4}\)?){2,5}|(?:\+?1[ .-])?(?:\(\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|\d{3} \d{3} \d{4}|\d{3}\.\d{3}\.\d{4})|1-\d{3}-\d{3}-\d{4})(?![\w-])"
)
_DOTTED_DATE = re.compile(r"(?<![\w.])(0?[1-9]|[12]\d|3[01])\.(0?[1-9]|1[0-2])\.((?:19|20)\d\d)(?![\w.]*\d)")
_DOTTED = re.compile(r"(?<![\w.])([vV]?)(\d+(?:\.\d+){2,5})(?::(\d{1,5}))?(?![\w.]*\d)")
_EUROPEAN = re.compile(r"(?<![\w.,])\d{1,3}(?:\.\d{3})+,\d{1,2}(?![\d,])")
_COMMAS = re.compile(r"(?<![\w.,])\d+(?:,\d+)+(?!\d)")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_SPACED_THOUSANDS = re.compile(
    r"(?<![\w.,])\d{1,3}(?:[\u00a0\u202f\u2009]\d{3})+(?!\d)|(?<![\w.,])\d{1,3}(?: 000)+(?!\d)"
)
_TRAILING_ZERO = re.compile(r"(?<![\w.,$€£¥₹])(?<![$€£¥₹] )(?<!USD )(?<!EUR )(?<!GBP )(\d+)\.(\d*0)(?!\d|\.\d| ?[€£$])")
_LEADING_ZERO = re.compile(r"(?<![\w.,:/$€£'-])0\d+(?![\w:/'-]|[.,]\d)")
_RATIO = re.compile(r"(?<![\w.:])(\d{1,4}):(\d{1,4})(?![\w:]|\.\d)")
_LONG_NUMBER = re.compile(rf"\d{{{LONGEST_NUMBER + 1},}}")

_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _spelled(digits: str) -> str:
    return " ".join(digits)


def _unit(found: re.Match[str]) -> str:
    number, space, unit, power, per = found.groups()
    if unit in _SPACED_UNITS and not space and not power and not per:
        return found[0]
    words = _UNITS[unit][0 if number == "1" else 1]
    words = f"{_POWERS[power]} {words}" if power else words
    return f"{number} {words} per {_PER[per]}" if per else f"{number} {words}"


def _superscript(found: re.Match[str]) -> str:
    before = found.string[found.start() - 1 : found.start()]
    if found[0] in _POWERS:
        return found[0]
    # After a word it is the number of a note.
    is_power = before.isdigit() or before == ")" or (before.isalpha() and found.start() < 2) or _is_letter(found)
    return f"^{found[0].translate(_SUPERSCRIPTS)}" if is_power else ""


def _is_letter(found: re.Match[str]) -> bool:
    start = found.start()
    return found.string[start - 1 : start].isalpha() and not found.string[start - 2 : start - 1].isalnum()


def _phone(found: re.Match[str]) -> str:
    groups = re.findall(r"\d+", found[0])
    return ("plus " if found[0].startswith("+") else "") + ", ".join(map(_spelled, groups))


def _dotted(found: re.Match[str]) -> str:
    mark, numbers, port = found.groups()
    words = " dot ".join(numbers.split("."))
    return (f"{mark} " if mark else "") + words + (f" colon {port}" if port else "")


def _commas(found: re.Match[str]) -> str:
    if _THOUSANDS.fullmatch(found[0]):
        return found[0]
    whole, *rest = found[0].split(",")
    return f"{whole}.{rest[0]}" if len(rest) == 1 and len(rest[0]) < 3 else ", ".join([whole, *rest])


def _ratio(found: re.Match[str]) -> str:
    is_time = int(found[1]) <= 24 and len(found[2]) == 2 and len(found[1]) <= 2 and int(found[2]) < 60
    return found[0] if is_time else f"{found[1]} to {found[2]}"


def _mixed(found: re.Match[str]) -> str:
    return f"{found[1]} and {found[2]}" if int(found[3]) < int(found[4]) else found[0]


_RULES: tuple[_Rule, ...] = (
    (re.compile("[\u2032\u2019](?=\\s?\\d{1,2}[\u2033\u201d])"), "'"),
    (_SPACED_THOUSANDS, lambda found: re.sub(r"\s", "", found[0])),
    (re.compile("[\u00a0\u2009\u202f]"), " "),
    (_PHONE, _phone),
    # Fractions and powers
    (re.compile(r"(\d) ?([½¼¾])"), r"\1 and \2"),
    (re.compile(rf"(\d) ?(\d{_FRACTION_SIGN}\d)"), r"\1 and \2"),
    (re.compile(_FRACTION_SIGN), "/"),
    (re.compile(r"(?<![\w/.,])(\d{1,3}) ((\d{1,2})/(\d{1,2}))(?![\w/])"), _mixed),
    (re.compile(r"(?<![\w/])24/7(?!\w)"), "24 7"),
    (re.compile(r"(?<![\w/])(\d\d)/\1(?![\w/])"), r"\1 \1"),
    (_EXPONENT, lambda found: f"{found[1]} times 10^{found[2].replace('+', '')}{found[3]}"),
    (_UNIT, _unit),
    (_SUPERSCRIPT, _superscript),
    (re.compile("\u03bc"), "µ"),
    # Dates, versions, addresses, and numbers as other languages write them
    (_DOTTED_DATE, lambda found: f"{found[3]}-{int(found[2]):02}-{int(found[1]):02}"),
    (_DOTTED, _dotted),
    (_EUROPEAN, lambda found: found[0].replace(".", "").replace(",", ".")),
    (_COMMAS, _commas),
    # Money
    (re.compile(r"\bUS\$"), "$"),
    (re.compile(rf"(?<![\w.,$€£¥₹])({_NUMBER}) ?([€£¥₹₩]|\$(?!\d))"), r"\2\1"),
    (_PRICE_PER, lambda found: f"{found[1]} per {_PER[found[2]]}"),
    # Signs between numbers
    (re.compile(r"(?<=[\w)]) ?\u2212 ?(?=[\w(])"), " minus "),
    (re.compile("\u2212"), "-"),
    (re.compile(r"(?<=\d) - (?=\d+(?:\.\d+)? ?[=+×÷*/])"), " minus "),
    (re.compile(r"(?<==)( ?-?\d+(?:\.\d+)?) - (?=\d)"), r"\1 minus "),
    (
        re.compile(r"(?<![\w.])(\d{1,5})[x×](\d{1,5})(?:[x×](\d{1,5}))?(?![\w^])"),
        lambda found: " by ".join(filter(None, found.groups())),
    ),
    (re.compile(r"(?<=\d)[xX](?!\w)"), " times"),
    (_RATIO, _ratio),
    (re.compile(r"(\d)['\u2032] ?(\d{1,2})(?:[\"\u2033\u201d]|'')"), r"\1 feet \2 inches"),
    (re.compile(r" ?(?:≥|>=) ?"), " greater than or equal to "),
    (re.compile(r" ?(?:≤|<=) ?"), " less than or equal to "),
    (re.compile(r" ?(?:≠|!=) ?"), " not equal to "),
    (re.compile(r"≈"), "~"),
    (re.compile(r" ?(?:→|⇒|->|=>) ?"), " to "),
    (re.compile(r"=="), "="),
    (re.compile(r"√ ?"), " square root of "),
    (re.compile(r"∞"), " infinity "),
    # Words
    (re.compile(r"(?<![\w#])([A-G])#(?!\w)"), r"\1 sharp"),
    (re.compile(r"\bp\. ?(?=\d)"), "page "),
    (re.compile(r"(?<![\w/])km/h(?!\w)"), "kilometers per hour"),
    (re.compile(r"(?<=[A-Za-z]{2})\.(?=[a-z]{2,5}\b)"), " dot "),
    # Digits that matter one by one
    (_TRAILING_ZERO, lambda found: f"{found[1]} point {_spelled(found[2])}"),
    (_LEADING_ZERO, lambda found: _spelled(found[0])),
)


def readable(text: str) -> str:
    """Return `text` with such numbers and signs rewritten."""
    for pattern, reading in _RULES:
        text = pattern.sub(reading, text, count=_MOST)
    return _LONG_NUMBER.sub(lambda found: _spelled(found[0]), text)
