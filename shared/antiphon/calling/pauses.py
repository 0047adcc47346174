"""Something that comes piece by piece, and the pauses in between."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def with_pauses(
    source: AsyncGenerator[T, None], *, idle_s: float, until_s: float = math.inf
) -> AsyncGenerator[T | None, None]:
    """Yield what `source` yields, and None after each `idle_s` seconds of silence; close it in the end.

    Raises `TimeoutError` when the monotonic clock has reached `until_s` and `source` has not ended.
    """
    pauses = _until(source, until_s) if math.isinf(idle_s) else _with_pauses(source, idle_s, until_s)
    async with aclosing(pauses), aclosing(source):
        async for piece in pauses:
            yield piece


async def _until(source: AsyncGenerator[T, None], until_s: float) -> AsyncGenerator[T, None]:
    """Yield what comes in time. Without pauses to tell no task is needed, which costs more than most pieces."""
    while True:
        left_s = None if math.isinf(until_s) else max(0.0, until_s - time.monotonic())
        # Only the wait is bounded: what is done with a piece takes as long as it takes.
        async with asyncio.timeout(left_s):
            try:
                piece = await anext(source)
            except StopAsyncIteration:
                return
        yield piece


async def _with_pauses(
    source: AsyncGenerator[T, None], idle_s: float, until_s: float
) -> AsyncGenerator[T | None, None]:
    pending: asyncio.Task[T] | None = None
    try:
        while True:
            pending = pending or asyncio.create_task(_next(source))
            left_s = until_s - time.monotonic()
            await asyncio.wait({pending}, timeout=max(0.0, min(idle_s, left_s)))
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


class _Over(Exception):
    """The source has ended. A task cannot raise `StopAsyncIteration`."""


async def _next(source: AsyncGenerator[T, None]) -> T:
    try:
        return await anext(source)
    except StopAsyncIteration:
        raise _Over from None
