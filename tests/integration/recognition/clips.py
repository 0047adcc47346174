"""Recordings with what is said in them, and how well a text agrees."""

from __future__ import annotations

import io
import re
import unicodedata
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from antiphon.audio.samples import RECOGNITION_RATE, Samples

UNSPACED = ("ja", "zh", "ko")
_NUMBERS = {"1": "one", "3": "three", "mr": "mister"}


@dataclass(frozen=True)
class Clip:
    """A recording, the language and the words of it."""

    path: Path
    language: str
    reference: str
    duration_s: float

    def errors(self, text: str) -> tuple[int, int]:
        """Return how many words, or letters of languages without spaces, are wrong, and how many there are."""
        said, heard = words(self.reference, self.language), words(text, self.language)
        return distance(said, heard), len(said)


def words(text: str, language: str) -> list[str]:
    """Return what counts of a text: lower-case words without punctuation; letters where there are no spaces."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = re.sub(r"[^\w\s']", " ", plain)
    if language in UNSPACED:
        return list(re.sub(r"\s", "", plain))
    return [_NUMBERS.get(word, word) for word in plain.split()]


def distance(said: list[str], heard: list[str]) -> int:
    """Return the fewest changes that turn one into the other."""
    row = list(range(len(heard) + 1))
    for i, left in enumerate(said, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1]


def wav_of(samples: Samples) -> bytes:
    """Return samples at 16 kHz as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RECOGNITION_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()
