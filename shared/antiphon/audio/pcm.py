"""Decoded sound that grows while it is being decoded."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import numpy as np

from antiphon.audio.decoder_protocol import SPOOL_RATE, SPOOL_SAMPLE_BYTES
from antiphon.audio.samples import Samples
from antiphon.errors import AntiphonError


class Pcm:
    """16 kHz mono sound in a spool file that a decoder process appends to.

    Wait for samples on the event loop; `read` them from any thread.
    """

    sample_rate = SPOOL_RATE

    def __init__(self, spool: int) -> None:
        self.ended_ns: int | None = None
        """When the decoding ended, in nanoseconds since 1970."""
        self._spool: int | None = spool
        self._samples = 0
        self._ended = False
        self._error: AntiphonError | None = None
        self._grown = asyncio.Event()
        self._reading = threading.Lock()

    @property
    def samples(self) -> int:
        """How many samples are decoded by now."""
        return self._samples

    @property
    def ended(self) -> bool:
        """Whether no more samples will come, for whatever reason."""
        return self._ended

    def check(self) -> None:
        """Raise the error that ended the decoding, wherever the reader is."""
        if self._error is not None:
            raise self._error

    async def available(self, samples: int) -> int:
        """Wait until at least `samples` are decoded or the end is reached; return how many there are.

        Raises the error that ended the decoding, unless `samples` were decoded before it.
        """
        while self._samples < samples and not self._ended:
            await self._grown.wait()
        if self._samples < samples and self._error is not None:
            raise self._error
        return self._samples

    async def length(self) -> int:
        """Wait for the end and return the number of samples. Raises the error that ended the decoding."""
        while not self._ended:
            await self._grown.wait()
        if self._error is not None:
            raise self._error
        return self._samples

    def read(self, start: int, stop: int) -> Samples:
        """Return the samples `start` to `stop`, as far as they are decoded, as a float32 copy, shape (n,)."""
        start, stop = max(start, 0), min(stop, self._samples)
        if stop <= start:
            return np.empty(0, dtype=np.float32)
        # Not mapped into memory: whoever holds the other descriptor could cut the file short, and a load beyond its
        # end kills the reader.
        with self._reading:
            if self._spool is None:
                raise ValueError("the decoded sound is gone: its block was left")
            raw = os.pread(self._spool, (stop - start) * SPOOL_SAMPLE_BYTES, start * SPOOL_SAMPLE_BYTES)
        samples = np.frombuffer(raw, dtype=np.int16).astype(np.float32)
        samples *= np.float32(1 / 32768)
        return samples

    def close(self) -> None:
        """Let go of the spool. For the decoder's owner."""
        with self._reading:
            self._spool = None

    def grow(self, samples: int) -> None:
        """Tell that `samples` lie in the spool by now. For the decoder's owner."""
        self._samples = max(self._samples, samples)
        self._wake()

    def end(self, error: AntiphonError | None = None) -> None:
        """Tell that no more will come, because of `error` if there is one. The first end counts."""
        if not self._ended:
            self._ended, self._error = True, error
            self.ended_ns = time.time_ns()
            self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
