"""Filter expressions of lists: `status eq 'Succeeded' and createdDateTime gt 2026-01-01T00:00:00Z`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from services.ingest.errors_speech import UnsupportedFilter
from services.ingest.speech.times import read_time

Property = Literal["text", "time"]
"""Texts are compared for equality; times, in epoch seconds, also for order."""
Predicate = Callable[[Mapping[str, Any]], bool]
"""Tells whether something with these properties is wanted. A missing text is an empty one."""

_TOKEN = re.compile(r"\s*(?:(?P<sign>[()])|'(?P<text>(?:[^']|'')*)'|(?P<word>[^\s()']+))")
_MAX_TOKENS = 100
_EQUALITY: dict[str, Callable[[Any, Any], bool]] = {"eq": operator.eq, "ne": operator.ne}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def parse_filter(expression: str, properties: Mapping[str, Property]) -> Predicate:
    """Read an expression over `properties` with eq, ne, gt, ge, lt, le, and, or, not and parentheses.

    Raises `UnsupportedFilter`.
    """
    parser = _Parser(list(_tokens(expression)), properties)
    predicate = parser.alternatives()
    parser.finish()
    return predicate


class _Parser:
    """Recursive descent; as deep as there are tokens, of which there are few."""

    def __init__(self, tokens: list[tuple[str, str]], properties: Mapping[str, Property]) -> None:
        self._tokens = tokens[::-1]
        self._properties = properties

    def alternatives(self) -> Predicate:
        choices = [self._conjunction()]
        while self._skip("or"):
            choices.append(self._conjunction())
        return lambda row: any(choice(row) for choice in choices)

    def finish(self) -> None:
        if self._tokens:
            raise _unreadable(f"'{self._tokens[-1][1][:64]}' is not expected")

    def _conjunction(self) -> Predicate:
        terms = [self._term()]
        while self._skip("and"):
            terms.append(self._term())
        return lambda row: all(term(row) for term in terms)

    def _term(self) -> Predicate:
        if self._skip("not"):
            term = self._term()
            return lambda row: not term(row)
        if self._skip("("):
            inner = self.alternatives()
            if not self._skip(")"):
                raise _unreadable("a parenthesis is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        name, comparison = self._take("word", "a property"), self._take("word", "an operator")
        kind = self._properties.get(name)
        if kind is None:
            known = ", ".join(self._properties)
            raise UnsupportedFilter(f"The filter names '{name[:64]}'. Supported properties are: {known}.")
        compare = _EQUALITY.get(comparison) or (_ORDER.get(comparison) if kind == "time" else None)
        if compare is None:
            supported = ", ".join([*_EQUALITY, *(_ORDER if kind == "time" else ())])
            raise UnsupportedFilter(f"The filter's operator for '{name}' must be one of {supported}.")
        literal = self._take("", "a value")
        if kind == "text":
            return lambda row: compare(row.get(name) or "", literal)
        moment = read_time(literal)
        if moment is None:
            raise UnsupportedFilter(f"The filter compares '{name}' with '{literal[:64]}', which is no ISO 8601 time.")
        return lambda row: compare(row[name], moment)

    def _skip(self, word: str) -> bool:
        if self._tokens and self._tokens[-1][0] != "text" and self._tokens[-1][1] == word:
            self._tokens.pop()
            return True
        return False

    def _take(self, kind: str, wanted: str) -> str:
        if not self._tokens or self._tokens[-1][0] == "sign" or kind not in ("", self._tokens[-1][0]):
            raise _unreadable(f"{wanted} is missing")
        return self._tokens.pop()[1]


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at, count = 0, 0
    while expression[at:].strip():
        found = _TOKEN.match(expression, at)
        if found is None:
            raise _unreadable("a quotation mark is not closed")
        at, count = found.end(), count + 1
        if count > _MAX_TOKENS:
            raise _unreadable(f"it has more than {_MAX_TOKENS} words")
        kind = found.lastgroup or ""
        yield kind, found[kind].replace("''", "'") if kind == "text" else found[kind]


def _unreadable(why: str) -> UnsupportedFilter:
    return UnsupportedFilter(f"The filter cannot be read: {why}.")
