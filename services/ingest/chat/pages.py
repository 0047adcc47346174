"""What is asked of stored completions: which part of a list, and what is to be written on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams

from antiphon.errors import InvalidValue, UnknownParameter
from antiphon.given import MaybeGiven, missing, shortened
from services.ingest.parameters.chat_fields import read_metadata
from services.ingest.parameters.fields import one_of
from services.ingest.parameters.pages import Page, read_page

_ORDERS = ("asc", "desc")


@dataclass(frozen=True)
class CompletionQuery:
    """Which completions to list. None matches every model, and metadata only those that have all of it."""

    page: Page
    newest_first: bool
    model: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def filters(self) -> bool:
        """Whether some completions may be passed over."""
        return self.model is not None or bool(self.metadata)

    def matches(self, completion: Mapping[str, Any]) -> bool:
        """Tell whether a completion is wanted."""
        if self.model not in (None, completion["model"]):
            return False
        written: dict[str, str] = completion["metadata"]
        return all(written.get(key) == value for key, value in self.metadata.items())


def read_completion_query(query: QueryParams) -> CompletionQuery:
    """Check the query of a list of completions. Raises `InvalidValue`."""
    if query.get("metadata"):
        raise InvalidValue("Invalid type for 'metadata': expected 'metadata[key]=value'.", param="metadata")
    return CompletionQuery(
        page=read_page(query),
        newest_first=read_order(query),
        model=query.get("model") or None,
        metadata={
            name.removeprefix("metadata[")[:-1]: value
            for name, value in query.items()
            if name.startswith("metadata[") and name.endswith("]")
        },
    )


def read_order(query: QueryParams) -> bool:
    """Tell whether the newest come first, which is not so by default. Raises `InvalidValue`."""
    return one_of("order", query.get("order") or _ORDERS[0], _ORDERS) == "desc"


def cut_messages(messages: Sequence[dict[str, Any]], query: QueryParams) -> tuple[Sequence[dict[str, Any]], bool]:
    """Return the messages that the query wants, and whether there are more. Raises `InvalidValue`."""
    page = read_page(query)
    ordered = messages[::-1] if read_order(query) else messages
    if page.after is not None:
        ids = [message["id"] for message in ordered]
        if page.after not in ids:
            raise InvalidValue(
                f"Invalid value for 'after': there is nothing called '{shortened(page.after)}'.", param="after"
            )
        ordered = ordered[ids.index(page.after) + 1 :]
    return ordered[: page.limit], len(ordered) > page.limit


def read_label(body: Mapping[str, Any]) -> dict[str, str]:
    """Check the body that replaces metadata, and nothing else. Raises `InvalidRequest`."""
    for name in body:
        if name != "metadata":
            raise UnknownParameter(f"Unknown parameter: '{shortened(name)}'.", param=shortened(name))
    if "metadata" not in body:
        raise missing("metadata")
    return read_metadata(MaybeGiven(body["metadata"], "metadata"))
