"""What the routes share: who asks, what they send, what they get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.json_body import read_object
from services.ingest.platform import Platform, platform_of
from services.ingest.speech.address import Address
from services.ingest.speech.filters import Predicate, Property, parse_filter
from services.ingest.speech.pages import Page, page_object
from services.ingest.speech.transcriptions import Transcriptions

MAX_JSON_BYTES = 8 * 2**20

ItemT = TypeVar("ItemT")


def transcriptions_of(request: Request) -> Transcriptions:
    """Return the batches on the bus."""
    platform = platform_of(request)
    return Transcriptions(platform.bus, platform.caller)


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent. Raises as `read_object` does."""
    limit_bytes = min(MAX_JSON_BYTES, platform_of(request).settings.max_upload_bytes)
    return await read_object(request, limit_bytes=limit_bytes)


def filter_of(request: Request, properties: Mapping[str, Property]) -> Predicate | None:
    """Return the filter of a list, if it has one. Raises `UnsupportedFilter`."""
    expression = request.query_params.get("filter", "").strip()
    return parse_filter(expression, properties) if expression else None


def list_response(
    request: Request,
    items: Sequence[ItemT],
    *,
    properties: Mapping[str, Property],
    row: Callable[[ItemT], Mapping[str, Any]],
    show: Callable[[ItemT], dict[str, Any]],
    path: Sequence[str],
) -> Response:
    """Return the page of `items` that was asked for. Raises `UnsupportedFilter`, `UnsupportedPagination`."""
    page, wanted = Page.of(request.query_params), filter_of(request, properties)
    chosen = [item for item in items if wanted is None or wanted(row(item))]
    shown = [show(item) for item in page.cut(chosen)]
    return json_response(
        page_object(
            shown,
            page=page,
            total=len(chosen),
            address=Address.of(request),
            path=path,
            query=request.query_params,
        )
    )


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `body` as JSON."""
    return Response(orjson.dumps(body), status_code=status, headers=dict(headers or {}), media_type="application/json")


def announce(platform: Platform, tenant: str, event_type: str, body: Mapping[str, Any], *, subject: str) -> None:
    """Tell the webhooks of a tenant, once the request has been answered."""

    async def tell() -> None:
        endpoints = await platform.endpoints.list(tenant, dialect="azure")
        await platform.deliveries.announce(endpoints, event_type, body, subject=subject)

    platform.aftercare.adopt(tell())
