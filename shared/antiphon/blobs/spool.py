"""A file for a while: it has no name, so it cannot outlive the process, however that ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from antiphon.errors import Unavailable

_PART_BYTES = 1024 * 1024


@asynccontextmanager
async def open_spool() -> AsyncIterator[Spool]:
    """Open a spool in the folder for temporary files, for as long as the block lasts. Raises `Unavailable`."""
    try:
        file: IO[bytes] = await asyncio.to_thread(tempfile.TemporaryFile, prefix="antiphon-")
    except OSError as error:
        raise _no_room() from error
    try:
        yield Spool(file)
    finally:
        # Dropping hundreds of megabytes takes the kernel a while. A write that is still under way is waited for: the
        # file is buffered, and its buffer has a lock.
        await asyncio.to_thread(file.close)


class Spool:
    """Takes pieces, then gives a path at which this process finds all of them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._held = bytearray()

    async def write(self, piece: bytes) -> None:
        """Append. Raises `Unavailable`."""
        self._held += piece
        if len(self._held) >= _PART_BYTES:
            await self._store()

    async def path(self) -> Path:
        """Return where this process can open what has been written. Raises `Unavailable`."""
        await self._store()
        return Path(f"/dev/fd/{self._file.fileno()}")

    async def _store(self) -> None:
        held, self._held = self._held, bytearray()
        try:
            await asyncio.to_thread(_write, self._file, held)
        except OSError as error:
            raise _no_room() from error


def _write(file: IO[bytes], data: bytearray) -> None:
    file.write(data)
    file.flush()


def _no_room() -> Unavailable:
    return Unavailable("There is no room to keep the audio.")
