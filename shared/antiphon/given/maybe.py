"""A value that a client may have sent, and where it would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from antiphon.errors import InvalidType, InvalidValue, UnsupportedValue
from antiphon.given.bounds import is_writable
from antiphon.given.values import Given
from antiphon.given.wording import empty, listed, missing

ChoiceT = TypeVar("ChoiceT", bound=str)


@dataclass(frozen=True, slots=True)
class MaybeGiven:
    """What a client gave at `param`, such as `messages[0].role`, or did not: null counts as absent.

    What is required raises `MissingParameter` when it is absent; all else is None then, or empty. What is there is
    read as `Given` reads it.
    """

    value: Any
    param: str = ""

    @property
    def absent(self) -> bool:
        """Whether nothing was given."""
        return self.value is None

    def required(self) -> MaybeGiven:
        """Return it, unless it is absent."""
        if self.value is None:
            raise missing(self.param)
        return self

    def member(self, name: str) -> MaybeGiven:
        """Return a member of a required object."""
        member = self._given.at(name, self.object().get(name))
        return MaybeGiven(member.value, member.param)

    def object(self) -> dict[str, Any]:
        """Return a required object."""
        return self.required()._given.object()

    def items(self, of: str = "objects", *, filled: bool = False, most: int) -> tuple[MaybeGiven, ...]:
        """Return the items of an array, of which there is at least one if it has to be `filled`."""
        if self.value is None:
            return ()
        items = self._given.items(of=of, most=most)
        if filled and not items:
            raise empty(self.param, "array")
        return tuple(MaybeGiven(item.value, item.param) for item in items)

    def text(self, *, longest: int | None = None) -> str | None:
        """Return a text of at most `longest` characters."""
        return None if self.value is None else self._given.text(longest=longest)

    def required_text(self, *, longest: int | None = None) -> str:
        """Return a required text of at most `longest` characters."""
        return self.required()._given.text(longest=longest)

    def filled_text(self, *, longest: int) -> str:
        """Return a text as `required_text` does, but no empty one."""
        text = self.required_text(longest=longest)
        if not text:
            raise empty(self.param, "string")
        return text

    def choice(self, allowed: Sequence[ChoiceT]) -> ChoiceT | None:
        """Return one of `allowed`."""
        return None if self.value is None else self.required_choice(allowed)

    def required_choice(self, allowed: Sequence[ChoiceT], *, unserved: Sequence[str] = ()) -> ChoiceT:
        """Return one of `allowed`. Raises `UnsupportedValue` for `unserved`, which the API knows but not this one."""
        text = self.required_text()
        if text in unserved:
            raise UnsupportedValue(
                f"Unsupported value: '{self.param}' does not support '{text}'. "
                f"Supported values are: {listed(allowed)}.",
                param=self.param,
            )
        return self._given.choice(allowed)

    def flag(self, *, default: bool = False) -> bool:
        """Return a boolean."""
        return default if self.value is None else self._given.flag()

    def number(self, *, minimum: float, maximum: float) -> float | None:
        """Return a number."""
        return None if self.value is None else float(self._given.number(minimum=minimum, maximum=maximum))

    def integer(self, *, minimum: int, maximum: int) -> int | None:
        """Return an integer; one with a fraction of zero is one."""
        return None if self.value is None else self._given.integer(minimum=minimum, maximum=maximum)

    def json_object(self) -> dict[str, Any]:
        """Return a required object of whatever JSON can say, within bounds."""
        if not is_writable(self.object()):
            raise InvalidValue(f"Invalid '{self.param}': nested too deeply, or not JSON.", param=self.param)
        return self._given.json_object()

    def wrong_type(self, expected: str) -> InvalidType:
        """Return the refusal for a value of another JSON type than `expected`, such as "a string"."""
        return self._given.wrong_type(expected)

    @property
    def _given(self) -> Given:
        return Given(self.value, self.param)
