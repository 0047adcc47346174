"""How many answers a server writes for this process at a time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from antiphon.errors import Overloaded

_WEIGHT = 0.3
"""Of the latest answer in the average."""
_UNKNOWN_S = 5.0
"""Taken for the length of an answer while none has been seen."""
_LONGEST_S = 60.0


class Places:
    """Gives out `limit` places; who finds none waits for `wait_s` seconds at most."""

    def __init__(self, limit: int, *, wait_s: float, model: str) -> None:
        self._limit = limit
        self._wait_s = wait_s
        self._model = model
        self._free = asyncio.Semaphore(limit)
        self._waiting = 0
        self._pace_s = _UNKNOWN_S

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a place while the block runs. Raises `Overloaded`, which says when to come again."""
        await self._enter()
        started_s = time.monotonic()
        try:
            yield
        finally:
            self._pace_s += _WEIGHT * (time.monotonic() - started_s - self._pace_s)
            self._free.release()

    async def _enter(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            wait_s = min(math.ceil(self._pace_s * self._waiting / self._limit), _LONGEST_S)
            raise Overloaded(
                f"The server behind the model `{self._model}` is writing as many answers as it may.",
                retry_after_s=max(wait_s, 1.0),
            ) from None
        finally:
            self._waiting -= 1
