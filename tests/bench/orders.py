"""The worker's end of `Peer`: lines on standard input, one answer each."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def orders() -> AsyncIterator[str]:
    """Yield the lines as they come, until the benchmark closes the pipe."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


def answer(line: str) -> None:
    """Answer the last order."""
    print(line, flush=True)
