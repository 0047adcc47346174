"""What is said, and what is to be said: clips of the pulled speech samples, a silent one, and texts."""

from __future__ import annotations

import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from antiphon.audio.decode import DecoderPool
from antiphon.audio.samples import RECOGNITION_RATE, Samples
from antiphon.models import WeightStore
from antiphon.settings import default_cache_dir

SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all."


@dataclass(frozen=True)
class Clip:
    """A file, and the 16 kHz samples in it."""

    path: Path
    data: bytes
    samples: Samples

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return len(self.samples) / RECOGNITION_RATE


def weights() -> WeightStore:
    """Return the store that the services use too."""
    return WeightStore(Path(os.environ.get("ANTIPHON_CACHE_DIR") or default_cache_dir()))


async def read_clips(paths: list[Path]) -> list[Clip]:
    """Decode files as the platform does."""
    clips = []
    async with DecoderPool() as pool:
        for path in paths:
            async with pool.decode(path) as pcm:
                length = await pcm.length()
                clips.append(Clip(path, path.read_bytes(), pcm.read(0, length)))
    return clips


def english_paths() -> list[Path]:
    """Return the English samples, short ones first. Raises `WeightsMissing` naming the command that pulls them."""
    folder = weights().folder("speech-samples") / "en"
    return sorted(folder.glob("*.wav"), key=lambda path: path.stat().st_size)


async def reading() -> Samples:
    """Return a reading of three quarters of a minute. Raises `WeightsMissing` naming the command that pulls it."""
    (clip,) = await read_clips([weights().folder("speech-readings") / "two_cities.wav"])
    return clip.samples


async def cut_clips(folder: Path, *, lengths_s: Sequence[float] = (3, 5, 7, 9, 11)) -> list[Clip]:
    """Write parts of the reading of so many seconds as files of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = await reading()
    clips = []
    start = 0
    for length_s in lengths_s:
        stop = start + round(length_s * RECOGNITION_RATE)
        path = write_wav(folder / f"{length_s:g}.wav", samples[start:stop])
        clips.append(Clip(path, path.read_bytes(), samples[start:stop]))
        start = stop
    return clips


def write_wav(path: Path, samples: Samples) -> Path:
    """Write 16 kHz samples as a file of 16 bits."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RECOGNITION_RATE)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def told_anew(wav: bytes) -> bytes:
    """Return the same sound as a file that was never sent before: what was heard once need not be recognised again."""
    chunk = b"JUNK" + (8).to_bytes(4, "little") + os.urandom(8)
    return wav[:4] + (len(wav) + len(chunk) - 8).to_bytes(4, "little") + wav[8:] + chunk


def write_silence(path: Path, *, seconds: float = 2.0) -> Path:
    """Write a clip in which nobody speaks."""
    return write_wav(path, np.zeros(round(seconds * RECOGNITION_RATE), dtype=np.float32))
