"""Something that comes piece by piece, and the pauses in between."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def with_pauses(
    source: AsyncGenerator[T, None], *, idle_s: float, until_s: float = math.inf
) -> AsyncGenerator[T | None, None]:
    """Yield what `source` yields, and None after each `idle_s` seconds of silence; close it in the end.

    Raises `TimeoutError` when the monotonic clock has reached `until_s` and `source` has not ended.
    """
    pending: asyncio.Task[T] | None = None
    try:
        while True:
            pending = pending or asyncio.create_task(_next(source))
            left_s = until_s - time.monotonic()
            wait_s = max(0.0, min(idle_s, left_s))
            await asyncio.wait({pending}, timeout=None if math.isinf(wait_s) else wait_s)
            if pending.done():
                try:
                    piece = pending.result()
                except _Over:
                    return
                pending = None
                yield piece
            elif left_s <= idle_s:
                raise TimeoutError
            else:
                yield None
    finally:
        if pending:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        await source.aclose()


class _Over(Exception):
    """The source has ended. A task cannot raise `StopAsyncIteration`."""


async def _next(source: AsyncGenerator[T, None]) -> T:
    try:
        return await anext(source)
    except StopAsyncIteration:
        raise _Over from None
