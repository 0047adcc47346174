"""What is said, and what is to be said: clips of the pulled speech samples, a silent one, and texts."""

from __future__ import annotations

import os
import wave
from dataclasses import dataclass
from pathlib import Path

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


def write_silence(path: Path, *, seconds: float = 2.0) -> Path:
    """Write a clip in which nobody speaks."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RECOGNITION_RATE)
        out.writeframes(bytes(2 * round(seconds * RECOGNITION_RATE)))
    return path
