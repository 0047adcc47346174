"""The error object of the OpenAI API."""

from __future__ import annotations

from typing import Any

from antiphon.schemas import ErrorInfo


def error_object(info: ErrorInfo) -> dict[str, Any]:
    """Return the body that tells a client of `info`; also what an event stream carries when it fails midway."""
    return {"error": {"message": info.message, "type": info.type, "param": info.param, "code": info.code}}
