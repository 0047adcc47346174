"""Functions with schemas of many shapes, and what somebody may say who wants them called."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


_NAME = {"type": "string", "minLength": 1, "maxLength": 24}

SCHEMAS: dict[str, Schema] = {
    "set_light": _object(
        room={"enum": ["kitchen", "bedroom", "hall"]},
        percent={"type": "integer", "minimum": 0, "maximum": 100},
    ),
    "get_forecast": _object(
        ["city"],
        city=_NAME,
        time={"type": "string", "pattern": "^([01][0-9]|2[0-3]):00$"},
    ),
    "order": _object(
        items={
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": _object(dish=_NAME, count={"type": "integer", "minimum": 1, "maximum": 9}),
        },
    ),
    "book_seat": _object(
        traveller=_object(name=_NAME, adult={"type": "boolean"}),
        seat={"anyOf": [{"type": "string", "enum": ["window", "aisle"]}, {"type": "null"}]},
    ),
    "move_arm": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_object(
            joint={"$ref": "#/$defs/joint"},
            degrees={"type": "number", "exclusiveMinimum": -90, "maximum": 90},
        ),
        "$defs": {"joint": {"enum": ["shoulder", "elbow", "wrist"]}},
    },
}

_WISHES = {
    "set_light": ("Set the light in the {0} to {1} percent.", ("kitchen", "bedroom", "hall")),
    "get_forecast": ("What will the weather be in {0} in {1} hours?", ("Oslo", "Reykjavík", "São Paulo")),
    "order": ("I would like {1} {0}, please.", ("pizzas", "bowls of soup", "cups of coffee")),
    "book_seat": ("Book a seat for {0}, who is {1}.", ("Ada Lovelace", "Jürgen Müller", 'Anne "Nan" O\'Hara')),
    "move_arm": ("Turn the {0} by {1} degrees.", ("elbow", "shoulder", "wrist")),
}


def tool(name: str) -> dict[str, Any]:
    """Return a function as a request has it."""
    return {
        "type": "function",
        "function": {"name": name, "description": name.replace("_", " "), "parameters": SCHEMAS[name]},
    }


def wishes(count: int) -> list[tuple[str, str]]:
    """Return so many names of functions, each with a wish for it; no two are the same."""
    found = []
    for at in range(count):
        name = list(SCHEMAS)[at % len(SCHEMAS)]
        wish, fillings = _WISHES[name]
        found.append((name, wish.format(fillings[at // len(SCHEMAS) % len(fillings)], at + 1)))
    return found
