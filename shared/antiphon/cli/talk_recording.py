"""Recordings that are spoken into a live session, at the pace at which they were spoken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np

from antiphon.audio.decode import DecoderPool
from antiphon.audio.resample import resample
from antiphon.audio.samples import RECOGNITION_RATE, SPEECH_RATE
from antiphon.cli.failure import CommandFailed
from antiphon.cli.talk_line import BYTES_PER_MS, FRAME_MS
from antiphon.errors import AntiphonError

_SILENCE = bytes(FRAME_MS * BYTES_PER_MS)


async def read_recordings(paths: Sequence[Path]) -> list[bytes]:
    """Decode files of any format to PCM: 16 bit, little-endian, mono, 24 kHz. Raises `CommandFailed`, `OSError`."""
    async with DecoderPool(size=1) as decoders:
        return [await _read(path, decoders) for path in paths]


async def pace(recording: bytes) -> AsyncIterator[bytes]:
    """Yield `recording`, then silence without end, each frame when it is due."""
    due_s = time.perf_counter()
    start = 0
    while True:
        frame = recording[start : start + len(_SILENCE)]
        yield frame + _SILENCE[len(frame) :]
        start += len(_SILENCE)
        due_s += FRAME_MS / 1000
        await asyncio.sleep(due_s - time.perf_counter())


async def _read(path: Path, decoders: DecoderPool) -> bytes:
    try:
        async with decoders.decode(path) as pcm:
            samples = pcm.read(0, await pcm.length())
    except AntiphonError as error:
        raise CommandFailed(f"{path}: {error.message}") from None
    spoken = resample(samples, RECOGNITION_RATE, SPEECH_RATE)
    return (np.clip(spoken, -1.0, 1.0) * 32767).astype("<i2").tobytes()
