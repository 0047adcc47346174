"""A value that a client sent, and where it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from antiphon.errors import InvalidType, InvalidValue
from antiphon.given.bounds import DEEPEST, LARGEST_JSON, is_shallow, is_unicode, written
from antiphon.given.wording import missing, not_one_of, out_of_range, unknown, wrong_length, wrong_type

ChoiceT = TypeVar("ChoiceT", bound=str)


@dataclass(frozen=True, slots=True)
class Given:
    """What a client gave at `param`, such as `session.audio.input.format`. JSON's null is a value like any other.

    What reads it raises `InvalidType`, and `InvalidValue` for what is out of its range.
    """

    value: Any
    param: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it is null."""
        return self.value is None

    def object(self) -> dict[str, Any]:
        """Return an object."""
        if not isinstance(self.value, dict):
            raise self.wrong_type("an object")
        return self.value

    def members(self, allowed: Collection[str], *, tolerated: Collection[str] = ()) -> dict[str, Given]:
        """Return the members of an object that are there, without those of `tolerated`.

        Raises `UnknownParameter` for one that is not `allowed` either.
        """
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
        """Return a member of an object. Raises `MissingParameter` when it is not there, or null."""
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
            raise self.wrong_type(f"an array of {of}")
        length = len(self.value)
        if not least <= length <= most:
            raise wrong_length(self.param, "array", length, least=least, most=most)
        return [Given(item, f"{self.param}[{index}]") for index, item in enumerate(self.value)]

    def texts(self, *, most: int, longest: int) -> list[str]:
        """Return the items of an array of strings of at most `longest` characters."""
        return [item.text(longest=longest) for item in self.items(of="strings", most=most)]

    def text(self, *, longest: int | None = None, least: int = 0) -> str:
        """Return a string of `least` to `longest` characters."""
        if not isinstance(self.value, str):
            raise self.wrong_type("a string")
        if not is_unicode(self.value):
            raise self._wrong("the string is not valid Unicode.")
        length = len(self.value)
        most = length if longest is None else longest
        if not least <= length <= most:
            raise wrong_length(self.param, "string", length, least=least, most=most)
        return self.value

    def choice(self, allowed: Sequence[ChoiceT]) -> ChoiceT:
        """Return one of `allowed`."""
        if not isinstance(self.value, str):
            raise self.wrong_type(f"one of {', '.join(repr(word) for word in allowed)}")
        for choice in allowed:
            if choice == self.value:
                return choice
        raise not_one_of(self.param, self.value, allowed)

    def flag(self) -> bool:
        """Return a boolean."""
        if not isinstance(self.value, bool):
            raise self.wrong_type("a boolean")
        return self.value

    def number(self, *, minimum: float, maximum: float) -> float:
        """Return a number as it was given."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wrong_type("a decimal number")
        return self._in_range("decimal", self.value, minimum, maximum)

    def integer(self, *, minimum: int, maximum: int) -> int:
        """Return an integer; one with a fraction of zero is one."""
        whole = isinstance(self.value, float) and self.value.is_integer()
        if isinstance(self.value, bool) or not (whole or isinstance(self.value, int)):
            raise self.wrong_type("an integer")
        return int(self._in_range("integer", self.value, minimum, maximum))

    def json_object(self) -> dict[str, Any]:
        """Return an object of whatever JSON can say, within bounds."""
        values = self.object()
        json = written(values)
        if json is not None and len(json) > LARGEST_JSON:
            raise self._wrong(f"object too large. At most {LARGEST_JSON} bytes of JSON are accepted.")
        if not is_shallow(values):
            raise self._wrong(f"nested too deeply. At most {DEEPEST} levels are accepted.")
        if json is None:
            raise self._wrong("it cannot be written as JSON again.")
        return values

    def wrong_type(self, expected: str) -> InvalidType:
        """Return the refusal for a value of another JSON type than `expected`, such as "a string"."""
        return wrong_type(self.param, expected, self.value)

    def _wrong(self, problem: str) -> InvalidValue:
        return InvalidValue(f"Invalid '{self.param}': {problem}", param=self.param)

    def _in_range(self, kind: str, number: float, minimum: float, maximum: float) -> float:
        if minimum <= number <= maximum:
            return number
        raise out_of_range(self.param, kind, number, minimum=minimum, maximum=maximum)
