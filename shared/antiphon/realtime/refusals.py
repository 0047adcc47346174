"""Refusals of the realtime protocol, in the words that clients of the hosted one know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.errors import InvalidRequest

_MOST_REPEATED = 64
_LONGEST_PATH = 256
_JSON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),  # before int, which it is as well
    (int, "an integer"),
    (float, "a decimal number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
    (type(None), "null"),
)


class RealtimeRefusal(InvalidRequest):
    """Something that a client sent cannot be done; its session goes on."""

    # Here the code belongs to the one refusal: the protocol has more of them than deserve a class.
    code: str | None  # type: ignore[misc]
    type: str  # type: ignore[misc]

    def __init__(
        self, message: str, *, code: str | None, param: str | None = None, type: str = "invalid_request_error"
    ) -> None:
        super().__init__(message, param=param)
        self.code = code
        self.type = type


def missing(param: str) -> RealtimeRefusal:
    """Return the refusal for a required parameter that is absent."""
    return RealtimeRefusal(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def unknown(param: str) -> RealtimeRefusal:
    """Return the refusal for a parameter that does not exist."""
    named = shortened(param, _LONGEST_PATH)
    return RealtimeRefusal(f"Unknown parameter: '{named}'.", code="unknown_parameter", param=named)


def wrong_type(param: str, expected: str, value: Any) -> RealtimeRefusal:
    """Return the refusal for a value of another JSON type than `expected`, such as "a string"."""
    got = next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "something else")
    return RealtimeRefusal(
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.", code="invalid_type", param=param
    )


def wrong_value(param: str, message: str) -> RealtimeRefusal:
    """Return the refusal for a value that is out of its range, described by `message`."""
    return RealtimeRefusal(message, code="invalid_value", param=param)


def not_one_of(param: str, value: str, allowed: Sequence[str]) -> RealtimeRefusal:
    """Return the refusal for a word that is none of `allowed`."""
    return wrong_value(param, f"Invalid value: '{shortened(value)}'. Supported values are: {listed(allowed)}.")


def shortened(text: str, longest: int = _MOST_REPEATED) -> str:
    """Return a text as a message may repeat it."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def listed(words: Sequence[str]) -> str:
    """Return words as the API lists them: 'a', 'b', and 'c'."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) <= 2:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
