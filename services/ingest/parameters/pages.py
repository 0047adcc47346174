"""Which part of a list a query asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from antiphon.errors import InvalidValue
from antiphon.given import shortened

DEFAULT_PAGE = 20
MAX_PAGE = 100


@dataclass(frozen=True)
class Page:
    """At most `limit` items that follow the one called `after`."""

    after: str | None
    limit: int


def read_page(query: Mapping[str, str]) -> Page:
    """Check the query of a list. Raises `InvalidValue`."""
    limit = query.get("limit", str(DEFAULT_PAGE))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 10 and 1 <= int(limit) <= MAX_PAGE):
        raise InvalidValue(
            f"Invalid value for 'limit': expected an integer between 1 and {MAX_PAGE}, but got '{shortened(limit)}'.",
            param="limit",
        )
    return Page(after=query.get("after") or None, limit=int(limit))
