"""Ears with the real models, and recordings of speech as a client sends them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import numpy as np
from faster_whisper.audio import decode_audio

from antiphon.audio.g711 import encode
from antiphon.audio.samples import Samples
from antiphon.models.store import WeightStore
from antiphon.settings import default_cache_dir
from services.realtime.ears import Ears, Listener, open_ears

PIECE_S = 0.04
RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}


def weights(name: str) -> Path:
    return WeightStore(Path(os.environ.get("ANTIPHON_CACHE_DIR") or default_cache_dir())).folder(name)


@asynccontextmanager
async def real_ears() -> AsyncIterator[Ears]:
    async with open_ears(voice_folder=weights("silero-vad"), turn_folder=weights("smart-turn")) as ears:
        yield ears


@cache
def spoken(name: str, rate: int = 16_000) -> Samples:
    """Return a recording, "en/counting" say, with half a second of silence before and a second behind."""
    samples: Samples = decode_audio(str(weights("speech-samples") / f"{name}.wav"), sampling_rate=rate)
    return np.pad(samples, (rate // 2, rate))


def sent(samples: Samples, format: str) -> bytes:
    """Return what a client sends of samples at the format's own rate."""
    integers = np.clip(np.rint(samples * 32_767), -32_768, 32_767).astype("<i2")
    if format == "audio/pcm":
        return bytes(integers.tobytes())
    return encode(integers, "mulaw" if format == "audio/pcmu" else "alaw")


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def heard(listener: Listener, data: bytes, size: int) -> list[float]:
    """Return the probabilities of voice in what comes in pieces of a size."""
    voice: list[float] = []
    for piece in pieces(data, size):
        voice += (await listener.hear([piece]))[1]
    return voice
