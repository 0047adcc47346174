"""Try again while the server is away or a lane is full, for a bounded time."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, TypeVar

from antiphon.errors import Overloaded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Patience:
    """How long one piece of work goes on trying. `note_progress` begins the time anew."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.note_progress()

    def note_progress(self) -> None:
        """Forget what was waited for."""
        self._end_s = time.monotonic() + self._limit_s
        self._pause_s = _FIRST_PAUSE_S

    async def wait(self, error: Overloaded | Unavailable) -> None:
        """Wait until it is worth trying again. Raises `error` when that would take too long."""
        if isinstance(error, Overloaded) and error.retry_after_s is not None:
            # The lane has told when there will be a place for this caller.
            wait_s = error.retry_after_s
        else:
            wait_s = self._pause_s * (0.5 + random.random())  # noqa: S311
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        if time.monotonic() + wait_s > self._end_s:
            raise error
        await asyncio.sleep(wait_s)

    async def insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what the first attempt gives that the bus does not refuse. Raises `Overloaded` or `Unavailable`."""
        while True:
            try:
                return await attempt()
            except (Overloaded, Unavailable) as error:
                await self.wait(error)
