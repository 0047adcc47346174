"""How refusals are phrased: in the words that clients of the hosted API know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from antiphon.errors import InvalidType, InvalidValue, MissingParameter, UnknownParameter

_MOST_REPEATED = 64
_LONGEST_PATH = 256
_LONGEST_INT_BITS = 64
_JSON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),  # before int, which it is as well
    (int, "an integer"),
    (float, "a decimal number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
    (type(None), "null"),
)


def missing(param: str) -> MissingParameter:
    """Return the refusal for a required parameter that is absent."""
    return MissingParameter(f"Missing required parameter: '{param}'.", param=param)


def unknown(param: str) -> UnknownParameter:
    """Return the refusal for a parameter that does not exist."""
    named = shortened(param, _LONGEST_PATH)
    return UnknownParameter(f"Unknown parameter: '{named}'.", param=named)


def wrong_type(param: str, expected: str, value: Any) -> InvalidType:
    """Return the refusal for a value of another JSON type than `expected`, such as "a string"."""
    got = next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "something else")
    return InvalidType(f"Invalid type for '{param}': expected {expected}, but got {got} instead.", param=param)


def not_one_of(param: str, value: str, allowed: Sequence[str]) -> InvalidValue:
    """Return the refusal for a word that is none of `allowed`."""
    return InvalidValue(f"Invalid value: '{shortened(value)}'. Supported values are: {listed(allowed)}.", param=param)


def wrong_length(param: str, kind: Literal["string", "array"], length: int, *, least: int, most: int) -> InvalidValue:
    """Return the refusal for a string or an array that is not `least` to `most` long."""
    article = "an" if kind == "array" else "a"
    problem, bound = ("short", f"minimum length {least}") if length < least else ("long", f"maximum length {most}")
    return InvalidValue(
        f"Invalid '{param}': {kind} too {problem}. Expected {article} {kind} with {bound}, "
        f"but got {article} {kind} with length {length} instead.",
        param=param,
    )


def empty(param: str, kind: Literal["string", "array"]) -> InvalidValue:
    """Return the refusal for a string or an array that has to have something in it."""
    article = "an" if kind == "array" else "a"
    return InvalidValue(
        f"Invalid '{param}': empty {kind}. Expected {article} {kind} with minimum length 1, "
        f"but got an empty {kind} instead.",
        param=param,
    )


def out_of_range(param: str, kind: str, number: float, *, minimum: float, maximum: float) -> InvalidValue:
    """Return the refusal for a number of `kind`, such as "integer", that does not lie between the two."""
    # Not a number is not above anything, but has to be refused as well.
    wrong, expected = ("above maximum", f"<= {maximum}") if number > maximum else ("below minimum", f">= {minimum}")
    return InvalidValue(
        f"Invalid '{param}': {kind} {wrong} value. Expected a value {expected}, but got {_shown(number)} instead.",
        param=param,
    )


def shortened(text: str, longest: int = _MOST_REPEATED) -> str:
    """Return a text as a message may repeat it."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def listed(words: Sequence[str]) -> str:
    """Return quoted words as the API lists them: 'a', 'b', and 'c'."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) <= 2:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def _shown(number: float) -> str:
    if isinstance(number, int) and number.bit_length() > _LONGEST_INT_BITS:
        return f"an integer of {number.bit_length()} bits"
    return str(number) if math.isfinite(number) else f"{number:g}"
