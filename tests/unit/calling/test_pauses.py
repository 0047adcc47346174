"""Pauses in what comes piece by piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from antiphon.calling.pauses import with_pauses

pytestmark = pytest.mark.unit


class Source:
    """Gives the numbers that are put in, until None is."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[int | None] = asyncio.Queue()
        self.closed = False

    async def pieces(self) -> AsyncGenerator[int, None]:
        try:
            while (piece := await self.queue.get()) is not None:
                yield piece
        finally:
            self.closed = True


async def test_silence_is_told_and_costs_no_piece() -> None:
    source = Source()
    told: list[int | None] = []
    async for piece in with_pauses(source.pieces(), idle_s=0.01):
        told.append(piece)
        if len(told) == 2:
            source.queue.put_nowait(1)
            source.queue.put_nowait(2)
            source.queue.put_nowait(None)
    assert [piece for piece in told if piece is not None] == [1, 2]
    assert told[:2] == [None, None]
    assert source.closed


async def test_leaving_closes_the_source() -> None:
    source = Source()
    source.queue.put_nowait(1)
    async with aclosing(with_pauses(source.pieces(), idle_s=60)) as pieces:
        assert await anext(pieces) == 1
    assert source.closed


async def test_the_end_of_patience_is_an_error() -> None:
    source = Source()
    with pytest.raises(TimeoutError):
        async for _ in with_pauses(source.pieces(), idle_s=60, until_s=time.monotonic() + 0.02):
            pass
    assert source.closed


async def test_an_error_of_the_source_comes_through() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("no more")

    pieces = with_pauses(broken(), idle_s=60)
    assert await anext(pieces) == 1
    with pytest.raises(ValueError, match="no more"):
        await anext(pieces)
