"""The models that hear, loaded once for all sessions of a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from antiphon.audio.samples import Samples
from antiphon.audio.vad import VoiceModel
from services.realtime.ears.listener import Listener
from services.realtime.ears.turn import TurnModel
from services.realtime.ears.voices import Voices


@asynccontextmanager
async def open_ears(*, voice_folder: Path, turn_folder: Path) -> AsyncIterator[Ears]:
    """Load the models from the folders of the `silero-vad` and `smart-turn` weights; own the threads they run in.

    Raises `WeightsMissing`.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ears") as desk:
        loop = asyncio.get_running_loop()
        voice = await loop.run_in_executor(desk, VoiceModel, voice_folder)
        turn = await loop.run_in_executor(desk, TurnModel, turn_folder)
        async with Voices(voice) as voices:
            yield Ears(voices, turn, desk)


class Ears:
    """Gives every session its listener."""

    def __init__(self, voices: Voices, turn: TurnModel, desk: Executor) -> None:
        self._voices = voices
        self._turn = turn
        self._desk = desk

    def listener(self, *, position: int = 0) -> Listener:
        """Return the ear of a session whose input begins at `position`."""
        return Listener(self._voices, self._desk, position=position)

    async def judge(self, samples: Samples) -> float:
        """Return how likely the speaker is through, 0 to 1, after `samples`, 16 kHz, of which the last 8 s count."""
        return await asyncio.get_running_loop().run_in_executor(self._desk, self._turn.judge, samples)
