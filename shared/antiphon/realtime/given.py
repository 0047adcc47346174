"""A value of a client event and where it is in it, read in the words that the protocol has for what is wrong."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from antiphon.realtime.refusals import missing, not_one_of, shortened, unknown, wrong_type, wrong_value

LARGEST_JSON = 256 * 1024
"""Most bytes of JSON that may say anything, such as the schema of a function's parameters."""

_DEEPEST = 100
_LONGEST_INT_BITS = 64


@dataclass(frozen=True, slots=True)
class Given:
    """What a client gave at `param`, such as `session.audio.input.format`. JSON's null is a value like any other."""

    value: Any
    param: str

    @property
    def is_null(self) -> bool:
        """Whether it is null."""
        return self.value is None

    def object(self) -> Mapping[str, Any]:
        """Return an object. Raises `RealtimeRefusal`, as all of these do."""
        if not isinstance(self.value, dict):
            raise wrong_type(self.param, "an object", self.value)
        return self.value

    def members(self, allowed: Collection[str], *, tolerated: Collection[str] = ()) -> dict[str, Given]:
        """Return the members of an object that are there, each one of `allowed`. Those of `tolerated` are left out."""
        members: dict[str, Given] = {}
        for name, value in self.object().items():
            member = self.at(name, value)
            if name in allowed:
                members[name] = member
            elif name not in tolerated:
                raise unknown(member.param)
        return members

    def filled(self, allowed: Collection[str], *, tolerated: Collection[str] = ()) -> dict[str, Given]:
        """Return the members of an object as `members` does, without those that are null."""
        members = self.members(allowed, tolerated=tolerated)
        return {name: member for name, member in members.items() if not member.is_null}

    def required(self, name: str) -> Given:
        """Return a member of an object that has to be there and not null."""
        value = self.object().get(name)
        member = self.at(name, value)
        if value is None:
            raise missing(member.param)
        return member

    def at(self, name: str, value: Any) -> Given:
        """Return `value` as the member `name` of this."""
        return Given(value, f"{self.param}.{name}" if self.param else name)

    def items(self, *, of: str = "objects", most: int, least: int = 0) -> list[Given]:
        """Return the items of an array."""
        if not isinstance(self.value, list):
            raise wrong_type(self.param, f"an array of {of}", self.value)
        length = len(self.value)
        if not least <= length <= most:
            problem, bound = (
                ("short", f"minimum length {least}") if length < least else ("long", f"maximum length {most}")
            )
            raise wrong_value(
                self.param,
                f"Invalid '{self.param}': array too {problem}. Expected an array with {bound}, "
                f"but got an array with length {length} instead.",
            )
        return [Given(item, f"{self.param}[{index}]") for index, item in enumerate(self.value)]

    def texts(self, *, most: int, longest: int) -> list[str]:
        """Return the items of an array of strings of at most `longest` characters."""
        return [item.text(longest=longest) for item in self.items(of="strings", most=most)]

    def text(self, *, longest: int, least: int = 0) -> str:
        """Return a string of `least` to `longest` characters."""
        if not isinstance(self.value, str):
            raise wrong_type(self.param, "a string", self.value)
        if not _is_unicode(self.value):
            raise wrong_value(self.param, f"Invalid '{self.param}': the string is not valid Unicode.")
        length = len(self.value)
        if least <= length <= longest:
            return self.value
        problem, bound = (
            ("short", f"minimum length {least}") if length < least else ("long", f"maximum length {longest}")
        )
        raise wrong_value(
            self.param,
            f"Invalid '{self.param}': string too {problem}. Expected a string with {bound}, "
            f"but got a string with length {length} instead.",
        )

    def choice(self, allowed: Sequence[str]) -> str:
        """Return one of `allowed`."""
        if not isinstance(self.value, str):
            raise wrong_type(self.param, f"one of {', '.join(repr(word) for word in allowed)}", self.value)
        if self.value not in allowed:
            raise not_one_of(self.param, self.value, allowed)
        return self.value

    def flag(self) -> bool:
        """Return a boolean."""
        if not isinstance(self.value, bool):
            raise wrong_type(self.param, "a boolean", self.value)
        return self.value

    def number(self, *, minimum: float, maximum: float) -> float:
        """Return a number as it was given."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise wrong_type(self.param, "a decimal number", self.value)
        return self._in_range("decimal", self.value, minimum, maximum)

    def integer(self, *, minimum: int, maximum: int) -> int:
        """Return an integer; one with a fraction of zero is one."""
        value = self.value
        if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            raise wrong_type(self.param, "an integer", value)
        return int(self._in_range("integer", value, minimum, maximum))

    def json_object(self) -> dict[str, Any]:
        """Return an object of whatever JSON can say, within bounds."""
        values = dict(self.object())
        if not _is_shallow(values):
            raise wrong_value(
                self.param,
                f"Invalid '{self.param}': nested too deeply. At most {_DEEPEST} levels are accepted.",
            )
        try:
            written = orjson.dumps(values)
        except TypeError:
            raise wrong_value(self.param, f"Invalid '{self.param}': it cannot be written as JSON again.") from None
        if len(written) > LARGEST_JSON:
            raise wrong_value(
                self.param,
                f"Invalid '{self.param}': object too large. At most {LARGEST_JSON} bytes of JSON are accepted.",
            )
        return values

    def _in_range(self, kind: str, number: float, minimum: float, maximum: float) -> float:
        if minimum <= number <= maximum:
            return number
        # Not a number is not above anything, but has to be refused as well.
        wrong, expected = ("above maximum", f"<= {maximum}") if number > maximum else ("below minimum", f">= {minimum}")
        raise wrong_value(
            self.param,
            f"Invalid '{self.param}': {kind} {wrong} value. Expected a value {expected}, "
            f"but got {_shown(number)} instead.",
        )


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
    return shortened(str(number)) if math.isfinite(number) else f"{number:g}"
