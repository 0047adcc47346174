"""Lists in pages: `skip`, `top`, and the link to the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from services.ingest.errors_speech import UnsupportedPagination
from services.ingest.speech.address import Address

MAX_TOP = 100


@dataclass(frozen=True)
class Page:
    """At most `top` items behind the first `skip`."""

    skip: int
    top: int

    @classmethod
    def of(cls, query: QueryParams) -> Page:
        """Read `skip` and `top`. Raises `UnsupportedPagination`."""
        return cls(
            skip=_integer(query, "skip", default=0, minimum=0, maximum=2**31 - 1),
            top=_integer(query, "top", default=MAX_TOP, minimum=1, maximum=MAX_TOP),
        )

    def cut(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return the items of this page."""
        return items[self.skip : self.skip + self.top]


def page_object(
    values: Sequence[dict[str, Any]],
    *,
    page: Page,
    total: int,
    address: Address,
    path: Sequence[str],
    query: QueryParams,
) -> dict[str, Any]:
    """Return a page of `total` items, with the link to the next one when there is one."""
    body: dict[str, Any] = {"values": list(values)}
    if page.skip + page.top < total:
        kept = {name: value for name, value in query.items() if name not in {"skip", "top", "api-version"}}
        body["@nextLink"] = address.url(*path, **kept, skip=page.skip + page.top, top=page.top)
    return body


def _integer(query: QueryParams, name: str, *, default: int, minimum: int, maximum: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) < 12 and minimum <= int(value) <= maximum):
        raise UnsupportedPagination(
            f"Invalid value for '{name}': expected an integer between {minimum} and {maximum}.", param=name
        )
    return int(value)
