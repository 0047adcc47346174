"""What became of each request. Times count from when it was due, so that one that could not be sent in time is late."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REFUSALS = (429, 503)


class Unanswered(Exception):
    """An answer came that is none: the message says in a few words of what kind."""


@dataclass
class Request:
    """One of them; moments in seconds since the run began."""

    kind: str
    due_s: float
    """When it was to begin; for a turn of a session, when its speech ended."""
    began_s: float | None = None
    first_s: float | None = None
    """When the caller had something: a word, a sound."""
    token_s: float | None = None
    """When the first words of an answer came, where sound is what counts."""
    end_s: float | None = None
    sound_s: float = 0.0
    """Sound that it brought or got."""
    error: str = ""
    refusals: int = 0
    tokens: int = 0
    written: str = ""
    session: int | None = None

    @property
    def answered(self) -> bool:
        """Whether all went well."""
        return self.end_s is not None and not self.error


@dataclass
class Tally:
    """All requests of a run, and what was sent to each route."""

    began: float = field(default_factory=time.perf_counter)
    requests: list[Request] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    """HTTP requests by `METHOD route status`, as the platform's own metrics name them."""

    def now(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.began

    @asynccontextmanager
    async def request(self, kind: str, due_s: float) -> AsyncIterator[Request]:
        """Follow a request through the block; what goes wrong is counted by its kind and goes no further."""
        request = Request(kind, due_s, began_s=self.now())
        self.requests.append(request)
        try:
            yield request
        except asyncio.CancelledError:
            request.error = "unfinished"
            raise
        except Exception as error:
            request.error = name_error(error)
        request.end_s = self.now()


def name_error(error: BaseException) -> str:
    """Return a few words that errors of one kind share."""
    match error:
        case BaseExceptionGroup():
            return name_error(error.exceptions[0])
        case httpx.HTTPStatusError():
            return f"HTTP {error.response.status_code}"
        case InvalidStatus():
            return f"HTTP {error.response.status_code}"
        case ConnectionClosed():
            return f"socket closed {error.rcvd.code if error.rcvd else 'without a word'}"
        case Unanswered():
            return str(error)
        case TimeoutError() | httpx.TimeoutException():
            return "timeout"
    return type(error).__name__


def is_refusal(error: str) -> bool:
    """Tell whether the platform said that it had no room."""
    return error in {f"HTTP {status}" for status in REFUSALS}
