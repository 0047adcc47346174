"""What comes back from a host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Headers = Mapping[str, str]
"""Headers by their names in small letters; several of one name are joined by commas."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer. `body` may have been cut at the limit."""

    status_code: int
    headers: Headers
    body: bytes
    duration_ms: int

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which the host wants to be asked again, if it says so."""
        return retry_after_s(self.headers, now=datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """An answer whose body is still coming; reading it raises `Unavailable`."""

    status_code: int
    headers: Headers
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that was fetched. `size` in bytes."""

    size: int
    media_type: str | None


def read_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers as they came as `Headers`."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def retry_after_s(headers: Headers, *, now: datetime) -> float | None:
    """Return the header `Retry-After`, seconds or a date, as seconds from `now`; None when it says nothing."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        # More digits than any wait needs.
        return float(value[:12])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
