"""Where the answers of a live session are heard: nowhere, in a file, or aloud."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from antiphon.cli.talk_line import SAMPLE_RATE


@dataclass(frozen=True)
class Cut:
    """An answer that was interrupted, and how much of it was heard."""

    item_id: str
    played_ms: int


class Player(Protocol):
    """Takes the sound of answers: PCM of 16 bit, little-endian, mono, 24 kHz."""

    @property
    def is_quiet(self) -> bool:
        """Whether all that was given has been heard."""

    def play(self, item_id: str, pcm: bytes) -> None:
        """Have more of an answer heard, after what was given before."""

    def stop(self) -> list[Cut]:
        """Be quiet at once. Returns what that has cut off."""


class Nowhere:
    """Nobody listens."""

    is_quiet = True

    def play(self, item_id: str, pcm: bytes) -> None:
        """Drop the sound."""

    def stop(self) -> list[Cut]:
        """Nothing is cut off."""
        return []


class WavFile:
    """All answers, one after the other."""

    is_quiet = True

    def __init__(self, sound: wave.Wave_write) -> None:
        self._sound = sound

    def play(self, item_id: str, pcm: bytes) -> None:
        """Write the sound."""
        self._sound.writeframesraw(pcm)

    def stop(self) -> list[Cut]:
        """What was written stays."""
        return []


@contextmanager
def into_file(path: Path) -> Iterator[WavFile]:
    """Write answers into a WAV file, which is whole however the conversation ends. Raises `OSError`."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file, wave.open(file, "wb") as sound:
            sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            yield WavFile(sound)
    finally:
        if part.exists():
            part.replace(path)
