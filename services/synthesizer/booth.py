"""A booth: one engine with the thread it speaks in, shared by jobs that take turns, and the voices it is known for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

from antiphon.audio.samples import Samples
from antiphon.errors import InvalidValue
from antiphon.models import find_voice
from antiphon.schemas import Priority
from services.synthesizer.engines import Synthesizer
from services.synthesizer.turns import Turns

WARM_UP = "Ready."


class Guest:
    """A job as a booth sees it: how urgent it is, how much of the engine's time it has had, and how long it waited."""

    def __init__(self, priority: Priority) -> None:
        self.priority = priority
        self.served_s = 0.0
        self.waited_s = 0.0


class Booth:
    """Use it as an async context: the engine's thread ends with it."""

    def __init__(self, engine: Synthesizer, *, model: str, voices: Mapping[str, str]) -> None:
        """Take the engine of `model` and the voices as clients name them, each with the engine's own name for it.

        Raises `InvalidValue` if the engine has no such voice.
        """
        for name, voice in voices.items():
            if voice not in engine.voices():
                raise InvalidValue(f"model {model}: voice {name} is to be {voice}, which the engine does not have")
        self.engine = engine
        self._voices = voices
        self._turns = Turns()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"speak-{model}")

    async def __aenter__(self) -> Self:
        """Speak once, because first calls are slow."""
        for voice in self.engine.voices()[:1]:
            async for _ in self.speak(WARM_UP, voice=voice, speed=1.0, guest=Guest("std")):
                pass
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the thread after the call in progress."""
        await asyncio.to_thread(self._thread.shutdown)

    def voice(self, name: str) -> str:
        """Return the engine's name for a voice. Raises `InvalidValue`, listing the known ones."""
        return find_voice(self._voices, name)

    @contextmanager
    def guest(self, priority: Priority) -> Iterator[Guest]:
        """Receive a job while the block runs; until it leaves, no bulk job begins another piece."""
        with self._turns.stay(priority):
            yield Guest(priority)

    async def speak(self, text: str, *, voice: str, speed: float, guest: Guest) -> AsyncIterator[Samples]:
        """Yield the sound of one piece of text, call by call of the model, each in a turn of its own."""
        loop = asyncio.get_running_loop()
        sounds = self.engine.speak(text, voice=voice, speed=speed)
        while True:
            asked_s = time.monotonic()
            async with self._turns.turn(priority=guest.priority, served_s=guest.served_s):
                started_s = time.monotonic()
                guest.waited_s += started_s - asked_s
                sound = await loop.run_in_executor(self._thread, next, sounds, None)
                guest.served_s += time.monotonic() - started_s
            if sound is None:
                return
            yield sound
