"""What those are told who may not come in, or not now."""

from __future__ import annotations

from typing import ClassVar

from antiphon.bus import Shortage, Standing
from antiphon.errors import AntiphonError, InvalidApiKey
from services.ingest.access.presented import masked
from services.ingest.access.principal import Grant

_PLACE_RETRY_S = 1.0
"""Nobody knows when one of the requests that run will have ended."""


class InvalidToken(InvalidApiKey):
    """A token of an identity provider that is not good, or not here."""

    code = "invalid_token"


class LimitReached(AntiphonError):
    """A key has used what it may. Subclasses say of what."""

    code = "rate_limit_exceeded"
    type = "requests"
    http_status = 429
    retryable = True
    limit: ClassVar[Shortage]


class RequestsUsedUp(LimitReached):
    """As many requests as there may be in a minute."""

    limit = "requests"

    def __init__(self, grant: Grant, standing: Standing) -> None:
        level = standing.requests
        assert level is not None  # noqa: S101
        wait_s = level.wait_s(1)
        super().__init__(
            f"Rate limit reached for {_whose(grant)} on requests per min (RPM): Limit {level.limit}, "
            f"Used {level.limit - max(0, int(level.remaining))}, Requested 1. Please try again in {said(wait_s)}.",
            retry_after_s=wait_s,
        )


class AudioUsedUp(LimitReached):
    """As many seconds of audio as there may be in a minute."""

    type = "audio_seconds"
    limit = "audio_seconds"

    def __init__(self, grant: Grant, standing: Standing, *, needed_s: float = 0.001) -> None:
        """`needed_s` is how much has to be there again."""
        level = standing.audio
        assert level is not None  # noqa: S101
        wait_s = level.wait_s(needed_s)
        super().__init__(
            f"Rate limit reached for {_whose(grant)} on audio seconds per min: Limit {level.limit}, "
            f"Used {level.limit - level.remaining:.0f}. Please try again in {said(wait_s)}.",
            retry_after_s=wait_s,
        )


class TooManyAtOnce(LimitReached):
    """As many requests as there may be at the same time."""

    limit = "concurrency"

    def __init__(self, grant: Grant, standing: Standing) -> None:
        super().__init__(
            f"Rate limit reached for {_whose(grant)} on concurrent requests: Limit {standing.concurrency}, "
            f"Running {standing.running}. Please try again in {said(_PLACE_RETRY_S)}.",
            retry_after_s=_PLACE_RETRY_S,
        )


REFUSALS: dict[Shortage, type[RequestsUsedUp | AudioUsedUp | TooManyAtOnce]] = {
    "requests": RequestsUsedUp,
    "audio_seconds": AudioUsedUp,
    "concurrency": TooManyAtOnce,
}


def said(seconds: float) -> str:
    """Return a length of time as the API's headers say it.

    >>> said(0.0123), said(1), said(75.5), said(360), said(3661)
    ('12ms', '1s', '1m15.5s', '6m0s', '1h1m1s')
    """
    total_ms = round(seconds * 1000)
    if 0 < total_ms < 1000:
        return f"{total_ms}ms"
    minutes, left_ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    begun = (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "")
    return f"{begun}{left_ms / 1000:g}s"


def unknown_key(keys: list[str]) -> InvalidApiKey:
    """Return what is said to who has a key that nobody knows, or none."""
    if keys:
        return InvalidApiKey(
            f"Incorrect API key provided: {masked(keys[0])}. Ask the operator of this server for a key."
        )
    return InvalidApiKey(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or in an api-key header."
    )


def _whose(grant: Grant) -> str:
    return f"key {grant.name!r} ({grant.key})"
