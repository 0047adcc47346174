"""Errors as Azure's gateway phrases them. What its gateway lets through keeps the OpenAI shape."""

from __future__ import annotations

import math
from typing import Any

from antiphon.schemas import ErrorInfo
from services.ingest import errors_openai

_ACCESS_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. "
    "Make sure to provide a valid key for an active subscription and use a correct regional API endpoint "
    "for your resource."
)
_NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. "
    "If you created the deployment within the last 5 minutes, please wait a moment and try again."
)


def error_object(info: ErrorInfo) -> dict[str, Any]:
    """Return the body that tells a client of `info`."""
    code, message = str(info.http_status), info.message
    match info.http_status, info.code:
        case 401, "invalid_token":
            pass
        case 401, _:
            message = _ACCESS_DENIED
        case 404, "model_not_found":
            code, message = "DeploymentNotFound", _NO_DEPLOYMENT
        case 404, _:
            message = "Resource not found"
        case 429, _:
            wait_s = max(1, math.ceil(info.retry_after_s or 1))
            message = f"Requests have exceeded call rate limit. Please retry after {wait_s} seconds."
        case ((405 | 503), _):
            pass
        case _:
            return errors_openai.error_object(info)
    return {"error": {"code": code, "message": message}}
