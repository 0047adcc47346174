"""Repeat what may be repeated while the server is away."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import OutOfMemoryError, RedisError

from antiphon.bus.connection import TRANSIENT, unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long a server may be away, or full, before who waits for it is told."""

_LONGEST_PAUSE_S = 0.5


async def insist(attempt: Callable[[], Awaitable[T]], *, patience_s: float = PATIENCE_S) -> T:
    """Return what an attempt gives that may be made any number of times. Raises `Unavailable`."""
    end_s = time.monotonic() + patience_s
    pause_s = 0.02
    while True:
        try:
            return await attempt()
        except (*TRANSIENT, OutOfMemoryError) as error:
            if time.monotonic() > end_s:
                raise unavailable(error) from error
        except RedisError as error:
            raise unavailable(error) from error
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
