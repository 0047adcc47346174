"""Bodies that are JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.requests import Request

from antiphon.errors import UnsupportedMediaType
from services.ingest.body import read_whole
from services.ingest.errors import MalformedBody

LARGE_BYTES = 256 * 1024
"""From here on it takes milliseconds to make sense of a body."""


def is_large(request: Request) -> bool:
    """Tell whether the body is said to be large, or not how large it is."""
    length = request.headers.get("content-length", "")
    return not length.isdecimal() or int(length) > LARGE_BYTES


async def read_object(request: Request, *, limit_bytes: int) -> dict[str, Any]:
    """Return the object that the body is. Raises as `read_json` does."""
    values = await read_json(request, limit_bytes=limit_bytes)
    if not isinstance(values, dict):
        raise MalformedBody("The body of your request must be a JSON object.")
    return values


async def read_json(request: Request, *, limit_bytes: int) -> Any:
    """Return what the body says; an empty body is an empty object.

    Raises `UnsupportedMediaType`, `MalformedBody`, `ContentTooLarge`, and `ClientDisconnect` when the client goes away.
    """
    body = await read_whole(request.receive, limit_bytes=limit_bytes)
    if not body.strip():
        return {}
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"Unsupported content type: '{media_type}'. This endpoint reads 'application/json'.")
    try:
        return await asyncio.to_thread(orjson.loads, body) if len(body) > LARGE_BYTES else orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedBody("We could not parse the JSON body of your request.") from None
