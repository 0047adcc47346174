"""What is read of a snapshot that a worker of another version may have written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any


def known(table: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Return what a table says of the fields of a dataclass; a newer worker may have written more."""
    return only(table, (field.name for field in fields(kind)))


def only(table: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return what a table says under some names, as far as it says it."""
    return {name: table[name] for name in names if name in table}
