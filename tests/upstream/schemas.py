"""Instances of JSON Schemas."""

from __future__ import annotations

from typing import Any


def instance_of(schema: dict[str, Any], *, root: dict[str, Any] | None = None) -> Any:
    """Return a small value that is valid for a schema of the kind that tools have."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return instance_of(target, root=root)
    for chosen in ("const", "default"):
        if chosen in schema:
            return schema[chosen]
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return instance_of(schema[several][0], root=root)
    if "allOf" in schema:
        return instance_of({k: v for part in schema["allOf"] for k, v in part.items()}, root=root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _plain(kind[0] if isinstance(kind, list) else kind, schema, root)


def _plain(kind: str, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    if kind == "object":
        return {name: instance_of(described, root=root) for name, described in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance_of(schema.get("items", {}), root=root)] * max(schema.get("minItems", 1), 0)
    if kind in ("integer", "number"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
        return min(least, schema["maximum"]) if "maximum" in schema else least
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    formats = {"date": "2026-01-02", "time": "07:30:00Z", "date-time": "2026-01-02T07:30:00Z", "email": "a@b.example"}
    text = formats.get(schema.get("format", ""), "text")
    text = text.ljust(schema.get("minLength", 0), "x")
    return text[: schema.get("maxLength", len(text))]
