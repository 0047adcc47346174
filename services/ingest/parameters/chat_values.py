"""A value of a JSON body and where it is in it, read in the words that the API has for what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from antiphon.errors import InvalidValue, UnsupportedValue
from services.ingest.parameters.fields import missing, no_longer_than, shortened

LARGEST_JSON = 256 * 1024
"""Most bytes of an object that may say anything."""

_LONGEST_INT_BITS = 64
_DEEPEST = 100
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),  # before int, which it is as well
    (int, "an integer"),
    (float, "a decimal number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
    (type(None), "null"),
)

ChoiceT = TypeVar("ChoiceT", bound=str)


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller gave at `param`, such as `messages[0].role`. None, which is JSON's null, counts as absent."""

    value: Any
    param: str = ""

    @property
    def absent(self) -> bool:
        """Whether nothing was given."""
        return self.value is None

    def required(self) -> Given:
        """Return it. Raises `MissingParameter`."""
        if self.value is None:
            raise missing(self.param)
        return self

    def member(self, name: str) -> Given:
        """Return a member of an object. Raises `MissingParameter`, and `InvalidValue` when it is no object."""
        return Given(self.object().get(name), f"{self.param}.{name}" if self.param else name)

    def object(self) -> dict[str, Any]:
        """Return an object. Raises `MissingParameter`, `InvalidValue`."""
        if not isinstance(self.required().value, dict):
            raise self.not_a("an object")
        return self.value  # type: ignore[no-any-return]

    def items(self, of: str = "objects", *, least: int = 0, most: int) -> tuple[Given, ...]:
        """Return the items of an array, none when it is absent. Raises `InvalidValue`."""
        if self.value is None:
            return ()
        if not isinstance(self.value, list):
            raise self.not_a(f"an array of {of}")
        if len(self.value) < least:
            raise InvalidValue(
                f"Invalid '{self.param}': empty array. Expected an array with minimum length {least}, "
                "but got an empty array instead.",
                param=self.param,
            )
        if len(self.value) > most:
            raise InvalidValue(
                f"Invalid '{self.param}': array too long. Expected an array with maximum length {most}, "
                f"but got an array with length {len(self.value)} instead.",
                param=self.param,
            )
        return tuple(Given(item, f"{self.param}[{index}]") for index, item in enumerate(self.value))

    def text(self, *, longest: int | None = None) -> str | None:
        """Return a text of at most `longest` characters. Raises `InvalidValue`."""
        if self.value is None:
            return None
        if not isinstance(self.value, str):
            raise self.not_a("a string")
        if not _is_unicode(self.value):
            raise InvalidValue(f"Invalid '{self.param}': the string is not valid Unicode.", param=self.param)
        return self.value if longest is None else no_longer_than(self.param, self.value, longest)

    def required_text(self, *, longest: int | None = None) -> str:
        """Return a text as `text` does. Raises `MissingParameter` as well."""
        text = self.required().text(longest=longest)
        return "" if text is None else text

    def filled_text(self, *, longest: int) -> str:
        """Return a text as `required_text` does, but no empty one."""
        text = self.required_text(longest=longest)
        if not text:
            raise InvalidValue(
                f"Invalid '{self.param}': empty string. Expected a string with minimum length 1, "
                "but got an empty string instead.",
                param=self.param,
            )
        return text

    def choice(self, allowed: Sequence[ChoiceT]) -> ChoiceT | None:
        """Return one of `allowed`. Raises `InvalidValue`."""
        text = self.text()
        return None if text is None else self._one_of(text, allowed)

    def required_choice(self, allowed: Sequence[ChoiceT], *, unserved: Sequence[str] = ()) -> ChoiceT:
        """Return one of `allowed`; the API knows `unserved` too, but they are not served here.

        Raises `MissingParameter`, `InvalidValue`, `UnsupportedValue`.
        """
        text = self.required_text()
        if text in unserved:
            raise UnsupportedValue(
                f"Unsupported value: '{self.param}' does not support '{text}'. "
                f"Supported values are: {listed(allowed)}.",
                param=self.param,
            )
        return self._one_of(text, allowed)

    def flag(self, *, default: bool = False) -> bool:
        """Return a boolean. Raises `InvalidValue`."""
        if self.value is None:
            return default
        if not isinstance(self.value, bool):
            raise self.not_a("a boolean")
        return self.value

    def number(self, *, minimum: float, maximum: float) -> float | None:
        """Return a number. Raises `InvalidValue`."""
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.not_a("a decimal number")
        return float(self._in_range("decimal", self.value, minimum, maximum))

    def integer(self, *, minimum: int, maximum: int) -> int | None:
        """Return an integer; one with a fraction of zero is one. Raises `InvalidValue`."""
        if self.value is None:
            return None
        whole = isinstance(self.value, float) and self.value.is_integer()
        if isinstance(self.value, bool) or not (whole or isinstance(self.value, int)):
            raise self.not_a("an integer")
        return int(self._in_range("integer", self.value, minimum, maximum))

    def json_object(self) -> dict[str, Any]:
        """Return an object of whatever JSON can say. Raises `MissingParameter`, `InvalidValue`."""
        values = self.object()
        written = _written(values)
        if written is None:
            raise InvalidValue(f"Invalid '{self.param}': nested too deeply, or not JSON.", param=self.param)
        if len(written) > LARGEST_JSON:
            raise InvalidValue(
                f"Invalid '{self.param}': object too large. At most {LARGEST_JSON} bytes of JSON are accepted.",
                param=self.param,
            )
        if not _is_shallow(values):
            raise InvalidValue(
                f"Invalid '{self.param}': nested too deeply. At most {_DEEPEST} levels are accepted.", param=self.param
            )
        return values

    def not_a(self, expected: str) -> InvalidValue:
        """Return the error for a value of another type than `expected`."""
        got = next((name for kind, name in _TYPES if isinstance(self.value, kind)), "something else")
        return InvalidValue(
            f"Invalid type for '{self.param}': expected {expected}, but got {got} instead.", param=self.param
        )

    def _one_of(self, text: str, allowed: Sequence[ChoiceT]) -> ChoiceT:
        for choice in allowed:
            if choice == text:
                return choice
        raise InvalidValue(
            f"Invalid value: '{shortened(text)}'. Supported values are: {listed(allowed)}.", param=self.param
        )

    def _in_range(self, kind: str, number: float, minimum: float, maximum: float) -> float:
        if number > maximum:
            wrong, expected = "above maximum", f"<= {maximum}"
        elif number >= minimum:
            return number
        else:
            # Not a number is not below anything either, but has to be refused somewhere.
            wrong, expected = "below minimum", f">= {minimum}"
        raise InvalidValue(
            f"Invalid '{self.param}': {kind} {wrong} value. Expected a value {expected}, "
            f"but got {_shown(number)} instead.",
            param=self.param,
        )


def listed(allowed: Sequence[str]) -> str:
    """Return quoted words as the API lists them: 'a', 'b', and 'c'."""
    quoted = [f"'{word}'" for word in allowed]
    if len(quoted) <= 2:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def is_writable(value: Any) -> bool:
    """Tell whether `value` can be written as JSON again."""
    return _written(value) is not None


def _written(value: Any) -> bytes | None:
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_shallow(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (each for each in inner if isinstance(each, dict | list))


def _shown(number: float) -> str:
    if isinstance(number, int) and number.bit_length() > _LONGEST_INT_BITS:
        return f"an integer of {number.bit_length()} bits"
    return str(number) if math.isfinite(number) else f"{number:g}"
