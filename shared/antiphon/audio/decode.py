"""Decode any container to 16 kHz mono in child processes that are warm, limited and expendable.

async with DecoderPool() as pool:
    async with pool.decode(path) as pcm:
        await pcm.available(30 * pcm.sample_rate)
        samples = pcm.read(0, 30 * pcm.sample_rate)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from antiphon.audio.decode_job import DecodeJob, open_job
from antiphon.audio.decode_limits import DecodeLimits
from antiphon.audio.decoder_seat import STOPPING, DecoderSeat
from antiphon.audio.pcm import Pcm
from antiphon.errors import AudioTooShort, Unavailable

__all__ = ["DecodeLimits", "DecoderPool", "Pcm"]


class DecoderPool:
    """At most `size` decoder processes, started when they are first needed or by `warm`.

    A decoder that dies takes one caller's job with it and is replaced at once.
    """

    def __init__(
        self,
        limits: DecodeLimits | None = None,
        *,
        size: int = 2,
        spool_dir: Path | None = None,
        background: bool = False,
    ) -> None:
        """Set the bounds. Decoders in the `background` get the processor while nothing else wants it."""
        self._limits = limits or DecodeLimits()
        self._background = background
        self._size = size
        self._spool_dir = spool_dir
        self._jobs: asyncio.Queue[DecodeJob] = asyncio.Queue()
        self._seats: list[DecoderSeat] = []
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        for seat in self._seats:
            seat.task.cancel()
        await asyncio.gather(*(seat.task for seat in self._seats), return_exceptions=True)
        while not self._jobs.empty():
            self._jobs.get_nowait().end(Unavailable(STOPPING))

    async def warm(self) -> None:
        """Start every decoder and wait until all are ready. Raises `Unavailable`."""
        while len(self._seats) < self._size:
            self._add_seat()
        await asyncio.gather(*(seat.ready() for seat in self._seats))

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the decoder processes that are running."""
        return tuple(seat.child.pid for seat in self._seats if seat.child is not None)

    @asynccontextmanager
    async def decode(self, path: Path) -> AsyncIterator[Pcm]:
        """Decode `path` while the block runs; what is decoded can be read from the start.

        The block is entered when the shortest acceptable sound is decoded. Leaving it gives up what is not yet decoded.
        Raises `InvalidAudio`, `AudioTooShort`, `Unavailable`; and from the `Pcm`, also `AudioTooLong`.
        """
        job = await open_job(path, self._spool_dir)
        try:
            if self._closed:
                raise Unavailable(STOPPING)
            self._jobs.put_nowait(job)
            if self._jobs.qsize() > sum(seat.idle for seat in self._seats) and len(self._seats) < self._size:
                self._add_seat()
            least = self._limits.min_samples
            if await job.pcm.available(least) < least:
                raise AudioTooShort(
                    f"Audio file is too short. Minimum audio length is {self._limits.min_s:g} seconds.", param="file"
                )
            yield job.pcm
        finally:
            await job.close()

    def _add_seat(self) -> None:
        self._seats.append(DecoderSeat(self._jobs, self._limits, background=self._background))
