"""Form fields, in all the spellings that clients use for lists, booleans and objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import orjson

from antiphon.errors import InvalidValue, MissingParameter

_ITEM = re.compile(r"(?P<name>[^\[\]]+)\[\d*\]")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off", "null", "none"})

ChoiceT = TypeVar("ChoiceT", bound=str)


class Fields:
    """The fields of one form. An empty value counts as absent.

    Lists may come as repeated `name[]` or `name`, as a JSON array or separated by commas in one `name`;
    objects as `name[key]` or as JSON in `name`.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        self._bracketed: set[str] = set()
        for spelled, value in pairs:
            item = _ITEM.fullmatch(spelled)
            name = item["name"] if item else spelled
            if item:
                self._bracketed.add(name)
            if value:
                self._values.setdefault(name, []).append(value)

    def text(self, name: str) -> str | None:
        """Return a field's value; the last one when it is repeated."""
        values = self._values.get(name)
        return values[-1] if values else None

    def required(self, name: str) -> str:
        """Return a field's value. Raises `MissingParameter`."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def number(self, name: str, *, minimum: float, maximum: float) -> float | None:
        """Return a number. Raises `InvalidValue` when it is none or out of range."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            raise InvalidValue(
                f"Invalid type for '{name}': expected a number, but got '{value}'.", param=name
            ) from None
        return in_range(name, number, minimum=minimum, maximum=maximum)

    def flag(self, name: str) -> bool:
        """Return a boolean, false when absent. Raises `InvalidValue`."""
        value = (self.text(name) or "false").lower()
        if value not in _TRUE | _FALSE:
            raise InvalidValue(f"Invalid type for '{name}': expected a boolean, but got '{value}'.", param=name)
        return value in _TRUE

    def choice(self, name: str, allowed: Sequence[ChoiceT], default: ChoiceT) -> ChoiceT:
        """Return one of `allowed`. Raises `InvalidValue`."""
        value = self.text(name)
        return default if value is None else one_of(name, value, allowed)

    def items(self, name: str) -> tuple[str, ...]:
        """Return the items of a list. Raises `InvalidValue` when JSON in it is not a list of strings."""
        values = self._values.get(name, [])
        if len(values) != 1:
            return tuple(values)
        value = values[0]
        if value.lstrip().startswith("["):
            return _strings(name, value)
        if name in self._bracketed:
            return (value,)
        return tuple(part for item in value.split(",") if (part := item.strip()))

    def choices(self, name: str, allowed: Sequence[ChoiceT]) -> frozenset[ChoiceT]:
        """Return a set of some of `allowed`. Raises `InvalidValue`."""
        return frozenset(one_of(name, value, allowed) for value in self.items(name))

    def members(self, name: str) -> str | dict[str, Any] | None:
        """Return a field that is a word or an object, values as they came. Raises `InvalidValue` for broken JSON."""
        inner = {
            key[len(name) + 1 : -1]: values[-1]
            for key, values in self._values.items()
            if key.startswith(f"{name}[") and key.endswith("]")
        }
        if inner:
            return inner
        value = self.text(name)
        if value is None or value[0] not in '{"':
            return value
        parsed = _parsed(name, value)
        if not isinstance(parsed, str | dict):
            raise InvalidValue(f"Invalid type for '{name}': expected a string or an object.", param=name)
        return parsed


def missing(name: str) -> MissingParameter:
    """Return the error for a required parameter that is absent."""
    return MissingParameter(f"Missing required parameter: '{name}'.", param=name)


def one_of(name: str, value: str, allowed: Sequence[ChoiceT]) -> ChoiceT:
    """Return `value` as the member of `allowed` that it equals. Raises `InvalidValue`."""
    for choice in allowed:
        if choice == value:
            return choice
    supported = ", ".join(f"'{choice}'" for choice in allowed)
    raise InvalidValue(f"Invalid value: '{value}'. Supported values are: {supported}.", param=name)


def in_range(name: str, number: float, *, minimum: float, maximum: float) -> float:
    """Return `number`. Raises `InvalidValue` unless it lies between the two (NaN does not)."""
    if not minimum <= number <= maximum:
        raise InvalidValue(
            f"Invalid value for '{name}': expected a number between {minimum:g} and {maximum:g}, but got {number:g}.",
            param=name,
        )
    return number


def _strings(name: str, value: str) -> tuple[str, ...]:
    parsed = _parsed(name, value)
    if not isinstance(parsed, list) or not all(isinstance(item, str) for item in parsed):
        raise InvalidValue(f"Invalid type for '{name}': expected an array of strings.", param=name)
    return tuple(item for item in parsed if item)


def _parsed(name: str, value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise InvalidValue(f"Invalid value for '{name}': it is not valid JSON.", param=name) from None
