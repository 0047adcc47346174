"""Sound as realtime sessions take and give it."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import av
import numpy as np
import soxr

RATE = 24_000
_CODECS = {"audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}


@functools.cache
def speech(path: Path) -> bytes:
    """Return a recording as PCM, 16 bit, mono, 24 kHz."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frames = [done for frame in container.decode(audio=0) for done in resampler.resample(frame)]
        frames += resampler.resample(None)
    return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def silence(length_ms: int) -> bytes:
    """Return silence as PCM at 24 kHz."""
    return bytes(2 * RATE * length_ms // 1000)


def spoken_turn(path: Path, *, before_ms: int = 400, after_ms: int = 1200) -> bytes:
    """Return a recording between silences, long enough for a turn to end."""
    return silence(before_ms) + speech(path) + silence(after_ms)


def as_telephone(pcm: bytes, audio_format: str) -> bytes:
    """Return G.711 at 8 kHz, made by another implementation than ours."""
    samples = soxr.resample(np.frombuffer(pcm, np.int16), RATE, 8000)
    codec = av.CodecContext.create(_CODECS[audio_format], "w")
    codec.sample_rate, codec.layout, codec.format = 8000, "mono", "s16"  # type: ignore[attr-defined]
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])  # type: ignore[attr-defined]


def from_telephone(sound: bytes, audio_format: str) -> bytes:
    """Return PCM at 24 kHz from G.711, read by another implementation than ours."""
    container = av.open(
        io.BytesIO(sound), "r", format=_CODECS[audio_format].removeprefix("pcm_"), options={"ar": "8000"}
    )
    with container:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
    upsampled: bytes = soxr.resample(samples, 8000, RATE).tobytes()
    return upsampled


def loudness(pcm: bytes) -> float:
    """Return the root mean square of samples, 1 at full scale."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], np.int16).astype(np.float64) / 32768
    return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0
