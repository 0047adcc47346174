"""Errors on their way out: which shape, which status, which headers."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from antiphon.errors import AntiphonError, InvalidRequest, NotFound
from antiphon.schemas import ErrorInfo
from services.ingest import errors_azure, errors_openai, errors_speech
from services.ingest.surface import Surface

_SHAPES: dict[Surface, Callable[[ErrorInfo], dict[str, Any]]] = {
    "openai": errors_openai.error_object,
    "azure": errors_azure.error_object,
    "speech": errors_speech.error_object,
}


class MalformedBody(InvalidRequest):
    """The body is not what its content type says."""


class MethodNotAllowed(InvalidRequest):
    """The path exists, but not for this method."""

    http_status = HTTPStatus.METHOD_NOT_ALLOWED


class RouteNotFound(NotFound):
    """There is nothing at this URL."""


def error_response(error: AntiphonError, surface: Surface) -> Response:
    """Return the answer that tells a client of `error`."""
    info = error.info()
    body = _SHAPES[surface](info)
    return Response(
        orjson.dumps(body), status_code=info.http_status, headers=retry_headers(info), media_type="application/json"
    )


def retry_headers(info: ErrorInfo) -> dict[str, str]:
    """Return the headers that tell official clients whether and when to try again."""
    headers: dict[str, str] = {}
    if info.retry_after_s is not None and info.http_status in {429, 503}:
        headers["retry-after"] = str(max(1, math.ceil(info.retry_after_s)))
        headers["retry-after-ms"] = str(max(1, math.ceil(info.retry_after_s * 1000)))
    if info.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR and not info.retryable:
        headers["x-should-retry"] = "false"
    return headers
