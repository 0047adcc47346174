"""What callers send: form fields in all the spellings that clients use for lists, booleans and objects, or JSON."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from antiphon.errors import InvalidValue
from antiphon.given import missing, shortened, wrong_length

_ITEM = re.compile(r"(?P<name>[^\[\]]+)\[\d*\]")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off", "null", "none"})

ChoiceT = TypeVar("ChoiceT", bound=str)


class Parameters(ABC):
    """The parameters of one request, however they are written."""

    @abstractmethod
    def text(self, name: str) -> str | None:
        """Return a text. Raises `InvalidValue` when it is something else."""

    @abstractmethod
    def scalar(self, name: str) -> str | float | None:
        """Return a text or a number. Raises `InvalidValue` when it is neither."""

    @abstractmethod
    def number(self, name: str, *, minimum: float, maximum: float) -> float | None:
        """Return a number. Raises `InvalidValue` when it is none or out of range."""

    @abstractmethod
    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean. Raises `InvalidValue`."""

    @abstractmethod
    def items(self, name: str) -> tuple[str, ...]:
        """Return the items of a list. Raises `InvalidValue` when it is not a list of strings."""

    @abstractmethod
    def members(self, name: str) -> str | dict[str, Any] | None:
        """Return what is a word or an object, values as they came. Raises `InvalidValue`."""

    @abstractmethod
    def canonical(self) -> bytes:
        """Return all of it in one spelling, to tell a repetition from another request."""

    def required(self, name: str) -> str:
        """Return a text. Raises `MissingParameter`."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def choice(self, name: str, allowed: Sequence[ChoiceT], default: ChoiceT) -> ChoiceT:
        """Return one of `allowed`. Raises `InvalidValue`."""
        value = self.text(name)
        return default if value is None else one_of(name, value, allowed)

    def choices(self, name: str, allowed: Sequence[ChoiceT]) -> frozenset[ChoiceT]:
        """Return a set of some of `allowed`. Raises `InvalidValue`."""
        return frozenset(one_of(name, value, allowed) for value in self.items(name))


class Fields(Parameters):
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

    def scalar(self, name: str) -> str | None:
        """Return a field's value."""
        return self.text(name)

    def number(self, name: str, *, minimum: float, maximum: float) -> float | None:
        """Return a number. Raises `InvalidValue` when it is none or out of range."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            raise InvalidValue(
                f"Invalid type for '{name}': expected a number, but got '{shortened(value)}'.", param=name
            ) from None
        return in_range(name, number, minimum=minimum, maximum=maximum)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean. Raises `InvalidValue`."""
        value = (self.text(name) or str(default)).lower()
        if value not in _TRUE | _FALSE:
            raise InvalidValue(
                f"Invalid type for '{name}': expected a boolean, but got '{shortened(value)}'.", param=name
            )
        return value in _TRUE

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

    def canonical(self) -> bytes:
        """Return the names and their values in JSON."""
        return orjson.dumps(self._values, option=orjson.OPT_SORT_KEYS)


class Members(Parameters):
    """The members of one JSON object. Null counts as absent; nothing is converted."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def text(self, name: str) -> str | None:
        """Return a string. Raises `InvalidValue`."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidValue(f"Invalid type for '{name}': expected a string.", param=name)
        return value

    def scalar(self, name: str) -> str | float | None:
        """Return a string or a number. Raises `InvalidValue`."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise InvalidValue(f"Invalid type for '{name}': expected a string or a number.", param=name)
        return value

    def number(self, name: str, *, minimum: float, maximum: float) -> float | None:
        """Return a number. Raises `InvalidValue` when it is none or out of range."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidValue(f"Invalid type for '{name}': expected a number.", param=name)
        return in_range(name, float(value), minimum=minimum, maximum=maximum)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean. Raises `InvalidValue`."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidValue(f"Invalid type for '{name}': expected a boolean.", param=name)
        return value

    def items(self, name: str) -> tuple[str, ...]:
        """Return the items of an array. Raises `InvalidValue` when it is not an array of strings."""
        value = self._values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidValue(f"Invalid type for '{name}': expected an array of strings.", param=name)
        return tuple(item for item in value if item)

    def members(self, name: str) -> str | dict[str, Any] | None:
        """Return a string or an object. Raises `InvalidValue`."""
        value = self._values.get(name)
        if not isinstance(value, str | dict | None):
            raise InvalidValue(f"Invalid type for '{name}': expected a string or an object.", param=name)
        return value

    def canonical(self) -> bytes:
        """Return the object in JSON."""
        return orjson.dumps(self._values, option=orjson.OPT_SORT_KEYS)


def one_of(name: str, value: str, allowed: Sequence[ChoiceT]) -> ChoiceT:
    """Return `value` as the member of `allowed` that it equals. Raises `InvalidValue`."""
    for choice in allowed:
        if choice == value:
            return choice
    supported = ", ".join(f"'{choice}'" for choice in allowed)
    raise InvalidValue(f"Invalid value: '{shortened(value)}'. Supported values are: {supported}.", param=name)


def no_longer_than(name: str, value: str, maximum: int) -> str:
    """Return `value`. Raises `InvalidValue` when it has more than `maximum` characters."""
    if len(value) > maximum:
        raise wrong_length(name, "string", len(value), least=0, most=maximum)
    return value


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
