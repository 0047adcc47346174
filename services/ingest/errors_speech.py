"""Errors of the Azure AI Speech routes: their own shape, and the refusals that only these routes know."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from antiphon.errors import AntiphonError, InvalidValue, UnsupportedValue
from antiphon.schemas import ErrorInfo

_ACCESS_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. "
    "Make sure to provide a valid key for an active subscription and use a correct regional API endpoint "
    "for your resource."
)
_CODES = {
    400: "InvalidRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "NotAllowed",
    409: "Conflict",
    413: "InvalidRequest",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    499: "Conflict",
    503: "ServiceUnavailable",
    504: "ServiceUnavailable",
}
_INNER_CODES = {
    "invalid_value": "InvalidParameterValue",
    "unsupported_value": "NotSupported",
    "missing_required_parameter": "InvalidPayload",
    "unknown_parameter": "InvalidParameter",
    "audio_too_short": "InvalidAudio",
    "model_not_found": "InvalidModel",
    "cancelled": "Cancelled",
    "deadline_exceeded": "Timeout",
}


class InvalidLocale(InvalidValue):
    """A locale whose language no recogniser knows."""

    code = "InvalidLocale"


class InvalidModel(InvalidValue):
    """A reference to a model that is not one of the base models."""

    code = "InvalidModel"


class UnsupportedFilter(InvalidValue):
    """A filter that cannot be read, or names a property that cannot be filtered by."""

    code = "UnsupportedFilter"


class UnsupportedPagination(InvalidValue):
    """`skip` or `top` outside its range."""

    code = "UnsupportedPagination"


class InvalidRecordingsUri(InvalidValue):
    """An address of a recording that is not fetched from here."""

    code = "InvalidRecordingsUri"


class NotServed(UnsupportedValue):
    """Something that the hosted service does and this platform does not."""


class LinkRefused(AntiphonError):
    """A signed link that has expired or was not signed here."""

    code = "AuthenticationFailed"
    http_status = HTTPStatus.FORBIDDEN


def error_object(info: ErrorInfo) -> dict[str, Any]:
    """Return the body that tells a client of `info`."""
    code = _CODES.get(info.http_status, "InternalServerError" if info.http_status >= 500 else "InvalidRequest")
    message = info.message
    if info.http_status == HTTPStatus.UNAUTHORIZED and info.code != "invalid_token":
        message = _ACCESS_DENIED
    own = info.code or ""
    inner: dict[str, Any] = {"code": own if own[:1].isupper() else _INNER_CODES.get(own, code), "message": message}
    target = {"target": info.param} if info.param else {}
    return {"code": code, "message": message, **target, "innerError": inner}
