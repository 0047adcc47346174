"""JSON Schemas that come from outside: what a grammar can hold a model to is let through, all else is refused.

Nothing is ignored in silence. The library that makes the grammar says what it does not know; the few words it would
overlook are looked for here, and so are size and depth, before anything else is done with a schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from antiphon.errors import InvalidValue

MOST_BYTES = 64 << 10
DEEPEST = 48
MOST_ITEMS = 4096
"""In all arrays that say how many they may have: a grammar spells each out."""

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
"""Formats that are held to. Others say what a string means, not how it is written, as JSON Schema has it."""

_OVERLOOKED = frozenset({"additionalItems", "divisibleBy", "disallow", "extends"})
"""Words of old drafts, which the grammar would not hold to."""
_COMBINING = frozenset({"anyOf", "oneOf", "$ref"})
_SETTINGS = "x-guidance"


def prepare(schema: Any, *, param: str) -> dict[str, Any]:
    """Return `schema` as it is to be held to: objects that list their properties have no others.

    Raises `InvalidValue` that names `param` if it is too large, or uses words that a grammar would overlook. What else
    cannot be held to shows when a grammar is made of it.
    """
    if not isinstance(schema, dict):
        raise InvalidValue("A JSON Schema is an object.", param=param)
    _refuse_large(schema, param=param)
    _refuse_overlooked(schema, param=param)
    return _closed(_plain(schema))


def _refuse_large(schema: Any, *, param: str) -> None:
    level: list[Any] = [schema]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            break
    else:
        raise InvalidValue(f"This schema is nested more than {DEEPEST} levels deep.", param=param)
    if len(json.dumps(schema)) > MOST_BYTES:
        raise InvalidValue(f"This schema is larger than {MOST_BYTES >> 10} KiB.", param=param)


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _refuse_overlooked(schema: dict[str, Any], *, param: str) -> None:
    counted = 0.0
    for inner in _schemas(schema):
        counts = [inner.get(word) for word in ("minItems", "maxItems")]
        counted += sum(count for count in counts if isinstance(count, (int, float)))
        if not counted <= MOST_ITEMS:  # neither of them is more than the other when one is no number
            raise InvalidValue(f"The arrays of this schema count more than {MOST_ITEMS} items.", param=param)
        for word in _OVERLOOKED & inner.keys():
            raise InvalidValue(f"This schema cannot be held to: {word!r} is not known.", param=param)
        if isinstance(inner.get("items"), list):
            raise InvalidValue(
                "This schema cannot be held to: 'items' is a schema; 'prefixItems' lists several.", param=param
            )


_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_SINGLE = ("items", "additionalProperties", "not", "contains", "propertyNames")


def _schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schema and all that it is made of."""
    yield schema
    for word, value in schema.items():
        if word in _SINGLE:
            inner = [value]
        elif word in _LISTS and isinstance(value, list):
            inner = value
        elif word in _MAPS and isinstance(value, dict):
            inner = list(value.values())
        else:
            continue
        for one in inner:
            if isinstance(one, dict):
                yield from _schemas(one)


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says how to read the schema, and formats that nothing is held to."""
    return _map(schema, _without_remarks)


def _without_remarks(schema: dict[str, Any]) -> dict[str, Any]:
    known = schema.get("format") in FORMATS
    return {
        word: value
        for word, value in schema.items()
        if word not in ("$schema", _SETTINGS) and (word != "format" or known)
    }


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Let objects that list their properties have no others, unless what one part lists another may add to."""
    for inner in _schemas(schema):
        if "allOf" in inner or ("properties" in inner and _COMBINING & inner.keys()):
            return schema
    return _map(schema, _without_others)


def _without_others(schema: dict[str, Any]) -> dict[str, Any]:
    lists = isinstance(schema.get("properties"), dict) and "patternProperties" not in schema
    return {"additionalProperties": False, **schema} if lists else schema


def _map(schema: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return the schema with `change` made to it and to all that it is made of."""

    def inner(part: Any) -> Any:
        return _map(part, change) if isinstance(part, dict) else part

    changed = dict(change(schema))
    for word, value in changed.items():
        if word in _SINGLE:
            changed[word] = inner(value)
        elif word in _LISTS and isinstance(value, list):
            changed[word] = [inner(part) for part in value]
        elif word in _MAPS and isinstance(value, dict):
            changed[word] = {name: inner(part) for name, part in value.items()}
    return changed
