"""Errors on their way out: which shape, which status, which headers; each is counted here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

import orjson
from opentelemetry import trace
from starlette.responses import Response

from antiphon.errors import AntiphonError, InvalidRequest, NotFound
from antiphon.schemas import ErrorInfo
from antiphon.telemetry.instruments import REFUSALS
from antiphon.telemetry.spans import mark_error
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
    info = told(error)
    body = _SHAPES[surface](info)
    return Response(
        orjson.dumps(body), status_code=info.http_status, headers=retry_headers(info), media_type="application/json"
    )


def told(error: AntiphonError) -> ErrorInfo:
    """Return what a client is told of `error`, in an answer, a stream or a socket, and count it."""
    info = error.info()
    REFUSALS.labels(str(int(info.http_status)), _label_of(info)).inc()
    if info.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        mark_error(trace.get_current_span(), error)
    return info


def _label_of(info: ErrorInfo) -> str:
    """Return the code of an error, its type where it has none; one that comes from elsewhere may be anything."""
    name = info.code or info.type
    return name if name in _names() else "other"


@cache
def _names() -> frozenset[str]:
    """Return the codes and types of all errors that have a class."""
    classes = list(_subclasses(AntiphonError))
    return frozenset(name for each in classes for name in (each.code, each.type) if name)


def _subclasses(of: type[AntiphonError]) -> Iterator[type[AntiphonError]]:
    yield of
    for each in of.__subclasses__():
        yield from _subclasses(each)


def retry_headers(info: ErrorInfo) -> dict[str, str]:
    """Return the headers that tell official clients whether and when to try again."""
    headers: dict[str, str] = {}
    if info.retry_after_s is not None and info.http_status in {429, 503}:
        headers["retry-after"] = str(max(1, math.ceil(info.retry_after_s)))
        headers["retry-after-ms"] = str(max(1, math.ceil(info.retry_after_s * 1000)))
    if info.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR and not info.retryable:
        headers["x-should-retry"] = "false"
    return headers
