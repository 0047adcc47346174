"""What a server that fails means for the caller: statuses, error bodies and waits, as errors of the platform. Pure.

What a caller is told never holds the key, nor any other header that the operator has set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from antiphon.egress.replies import retry_after_s
from antiphon.errors import (
    AntiphonError,
    ContentTooLarge,
    ContextTooLong,
    DeadlineExceeded,
    InvalidRequest,
    InvalidValue,
    MissingParameter,
    ModelNotFound,
    Overloaded,
    Unavailable,
    UnknownParameter,
    UnsupportedValue,
    UpstreamFailed,
)

RETRIES = 2
LONGEST_BACKOFF_S = 8.0
LONGEST_WAIT_S = 10.0
"""A server that wants to be left alone for longer is not waited for: the caller is told."""
LONGEST_MESSAGE = 500
"""Characters of a server's own message that a caller is told."""
LONGEST_PARAM = 100

_CONTEXT_TOO_LONG = re.compile(r"context[ _](length|window|size)|maximum context|exceed_context_size", re.IGNORECASE)
_NAMES_A_MODEL = re.compile(r"model|deployment", re.IGNORECASE)
"""Any other 404 is about the address."""
_CLASSES: dict[str, type[InvalidRequest]] = {
    kind.code: kind
    for kind in (InvalidValue, UnsupportedValue, MissingParameter, UnknownParameter, ContextTooLong)
    if kind.code is not None
}
_STATUSES = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "overloaded_error": 503,
    "service_unavailable": 503,
    "unavailable_error": 503,
    "server_error": 500,
    "internal_error": 500,
    "api_error": 500,
    "internalservererror": 500,
}
"""What servers call their errors once a status can no longer be sent."""
_SPENT = "insufficient_quota"
"""The code of a 429 that does not pass."""
_PASSING = frozenset({408, 409, 425})


class UpstreamRefused(UpstreamFailed):
    """A server will not serve this platform, however often it is asked: the operator has to do something."""

    retryable = False


class ContentFiltered(InvalidRequest):
    """What was said is against the rules of who runs the model."""

    code = "content_filter"


class Broken(Exception):
    """An answer that is none. The text goes on after "The server behind the model …"."""


class Failed(Exception):
    """An attempt that has failed: what the caller is told, and whether another one may help.

    `wait_s` is how long the server wants to be left alone, if it says so.
    """

    def __init__(self, error: AntiphonError, *, again: bool = False, wait_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.again = again
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says, as far as it says anything."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str | None = None
    status: int | None = None

    @classmethod
    def read(cls, body: Any) -> Complaint:
        """Read the shapes that servers have: OpenAI's, Azure's, older vLLM's, FastAPI's, or a mere text."""
        if not isinstance(body, dict):
            return cls()
        error = body.get("error", body)
        if isinstance(error, str):
            return cls(message=error)
        if not isinstance(error, dict):
            return cls()
        message = error.get("message") or error.get("detail")
        param = error.get("param")
        if isinstance(message, list) and message and isinstance(message[0], dict):
            place = message[0].get("loc")
            param = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else param
            message = message[0].get("msg")
        raw_code = error.get("code")
        code = str(raw_code) if isinstance(raw_code, str | int) else ""
        kind = error.get("type")
        kind = kind if isinstance(kind, str) else ""
        return cls(
            message=message if isinstance(message, str) else "",
            code=code,
            type=kind,
            param=param[:LONGEST_PARAM] if isinstance(param, str) else None,
            status=_status_of(error.get("status"), code, kind),
        )


@dataclass(frozen=True, slots=True)
class Blame:
    """Phrases errors of the server behind `model`. None of `secrets` is ever in one."""

    model: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def _who(self) -> str:
        return f"The server behind the model `{self.model}`"

    def refused(self, status: int, headers: Mapping[str, str], body: Any, *, now: datetime) -> Failed:
        """Return what an answer with another status than 200 means."""
        complaint = Complaint.read(body)
        wait_s = read_wait_s(headers, now=now)
        again = status in _PASSING or status == 429 or status >= 500
        if _SPENT in (complaint.code, complaint.type):
            again = False
        if (word := headers.get("x-should-retry", "").lower()) in ("true", "false"):
            again = word == "true"
        return Failed(self._error(status, complaint, wait_s), again=again, wait_s=wait_s)

    def complained(self, body: Any) -> Failed:
        """Return what an error means that came after the status."""
        complaint = Complaint.read(body)
        status = complaint.status
        if status is None:
            message = self._cleaned(complaint.message)
            said = f": {message}" if message else "."
            return Failed(UpstreamFailed(f"{self._who} ended its answer with an error{said}"))
        if status >= 500:
            return Failed(Unavailable(f"{self._who} ended its answer with an error ({status})."), again=True)
        again = status == 429 and _SPENT not in (complaint.code, complaint.type)
        return Failed(self._error(status, complaint, None), again=again)

    def broken(self, what: str, *, again: bool = False) -> Failed:
        """Return what an answer means that is none, or that ends in the middle."""
        return Failed(UpstreamFailed(f"{self._who} {what}."), again=again)

    def unreachable(self, what: str, *, again: bool = True) -> Failed:
        """Return what it means that there is no answer."""
        return Failed(Unavailable(f"{self._who} {what}."), again=again)

    def late(self, what: str) -> Failed:
        """Return what it means that a server takes too long."""
        return Failed(DeadlineExceeded(f"{self._who} {what}."))

    def _error(self, status: int, complaint: Complaint, wait_s: float | None) -> AntiphonError:
        message = self._cleaned(complaint.message) or f"{self._who} answered {status}."
        param = self._cleaned(complaint.param or "") or None
        error: AntiphonError
        if status in (400, 422):
            error = _kind_of(complaint)(message, param=param)
        elif status == 404 and _NAMES_A_MODEL.search(f"{complaint.code} {complaint.message}"):
            error = ModelNotFound(message, param=param)
        elif status == 413:
            error = ContentTooLarge(message, param=param)
        elif status == 429:
            error = Overloaded(f"{self._who} has no room for more requests now.", retry_after_s=wait_s)
        elif status in (401, 403):
            error = UpstreamRefused(
                f"{self._who} does not accept the credentials that this platform has for it ({status})."
            )
        elif status >= 500 or status in _PASSING:
            error = Unavailable(f"{self._who} answered {status}.", retry_after_s=wait_s)
        else:
            error = UpstreamRefused(f"{self._who} answered {status}.")
        return error

    def _cleaned(self, message: str) -> str:
        for secret in self.secrets:
            message = message.replace(secret, "***")
        message = " ".join(message.split())
        return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"


def read_wait_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return for how many seconds a server wants to be left alone, from `Retry-After-Ms` or `Retry-After`."""
    try:
        wait_s = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        return retry_after_s(headers, now=now)
    return wait_s if math.isfinite(wait_s) and wait_s >= 0 else None


def read_pause_s(failed: Failed, *, retry: int, backoff_s: float, jitter: float) -> float | None:
    """Return after how many seconds to try for the `retry`th time, counted from 0; None for not at all.

    `jitter`, from 0 to 1, takes up to a quarter off, so that callers who failed together do not come back together.
    """
    if not failed.again or retry >= RETRIES:
        return None
    if failed.wait_s is not None:
        return failed.wait_s if failed.wait_s <= LONGEST_WAIT_S else None
    return min(backoff_s * 2.0**retry, LONGEST_BACKOFF_S) * (1 - jitter / 4)


def secrets_of(key: str | None, headers: Iterable[str]) -> tuple[str, ...]:
    """Return what must not be told to anybody, the longest first. Short values are words, not secrets."""
    found = {key} if key else set()
    found |= {value for value in headers if len(value) >= 8}
    return tuple(sorted(found, key=len, reverse=True))


def _kind_of(complaint: Complaint) -> type[InvalidRequest]:
    if complaint.code in _CLASSES:
        return _CLASSES[complaint.code]
    if "content_filter" in (complaint.code, complaint.type):
        return ContentFiltered
    # Most servers have no code for it.
    if _CONTEXT_TOO_LONG.search(complaint.message) or _CONTEXT_TOO_LONG.search(complaint.type):
        return ContextTooLong
    return InvalidRequest


def _status_of(status: object, code: str, kind: str) -> int | None:
    for candidate in (code, status):
        text = str(candidate) if isinstance(candidate, str | int) else ""
        if text.isascii() and text.isdecimal() and 400 <= int(text[:4]) <= 599:
            return int(text)
    known = _STATUSES.get(code.lower()) or _STATUSES.get(kind.lower())
    if known is None and (code in _CLASSES or code == "content_filter"):
        return 400
    return known
