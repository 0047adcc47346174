"""Times as Azure AI Speech writes them: ticks of 100 ns, ISO 8601 durations, timestamps in UTC."""

from __future__ import annotations

import datetime as dt
import re

TICKS_PER_S = 10_000_000
TICKS_PER_MS = 10_000

_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d{1,7})?)S)?)?"
)


def ticks_of(seconds: float) -> int:
    """Return seconds in ticks."""
    return round(max(0.0, seconds) * TICKS_PER_S)


def milliseconds_of(ticks: int) -> int:
    """Return ticks in milliseconds."""
    return round(ticks / TICKS_PER_MS)


def write_duration(ticks: int) -> str:
    """Return a duration of not less than nothing as ISO 8601.

    >>> write_duration(625_000_000), write_duration(36_000_000_000), write_duration(0)
    ('PT1M2.5S', 'PT1H', 'PT0S')
    """
    minutes, rest = divmod(ticks, 60 * TICKS_PER_S)
    hours, minutes = divmod(minutes, 60)
    whole, fraction = divmod(rest, TICKS_PER_S)
    seconds = f"{whole}.{fraction:07d}".rstrip("0").rstrip(".")
    text = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "") + (f"{seconds}S" if rest else "")
    return f"PT{text or '0S'}"


def read_duration(text: str) -> int | None:
    """Return an ISO 8601 duration of days and less in ticks, None when it is none.

    >>> read_duration("P1DT1S") == read_duration("PT24H1.0S") == 86_401 * TICKS_PER_S
    True
    """
    found = _DURATION.fullmatch(text) if len(text) <= 64 else None
    if found is None or not any(found.groups()):
        return None
    parts = found.groupdict(default="0")
    whole, _, fraction = parts["seconds"].partition(".")
    minutes = (int(parts["days"]) * 24 + int(parts["hours"])) * 60 + int(parts["minutes"])
    return (minutes * 60 + int(whole)) * TICKS_PER_S + int(fraction.ljust(7, "0"))


def write_time(epoch_ms: int) -> str:
    """Return a moment to the second.

    >>> write_time(1_700_000_000_999)
    '2023-11-14T22:13:20Z'
    """
    return dt.datetime.fromtimestamp(epoch_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_time(text: str) -> float | None:
    """Return a moment in epoch seconds, UTC when it names no zone; None when it is none."""
    try:
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
