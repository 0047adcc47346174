"""An answer is spoken while it is still being written: a `synthesize` job for each sentence, or what is there."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from antiphon.bus import OutputEvent
from antiphon.calling import Desk, result_of, running
from antiphon.schemas import Outcome, Priority, SynthesizeJob
from antiphon.speech import is_speakable

RATE = 24_000
"""Hz of all sound in a dialogue; its samples have 16 bit."""
BYTES_PER_S = 2 * RATE
PAUSE_S = 0.3
"""Between two jobs, as between two sentences of one."""
MOST_CHARACTERS = 400
"""Of text in one job: what was written while the last one was spoken is spoken in one go, up to this."""
MOST_WAITING = 64
"""Sentences that wait to be spoken; then the writing waits."""


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Who speaks, and for whom."""

    model: str
    name: str
    tenant: str
    speed: float = 1.0
    instructions: str | None = None


class Script:
    """The sentences that are to be spoken: one side writes them, the other takes what is there."""

    def __init__(self) -> None:
        self._sentences: deque[str] = deque()
        self._changed = asyncio.Condition()
        self._whole = False

    async def write(self, sentence: str) -> None:
        """Add a sentence; waits while there are too many. What has no sound is left out."""
        if not is_speakable(sentence):
            return
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._sentences) < MOST_WAITING)
            self._sentences.append(sentence)
            self._changed.notify_all()

    async def close(self) -> None:
        """Say that there is no more."""
        async with self._changed:
            self._whole = True
            self._changed.notify_all()

    async def take(self) -> str | None:
        """Return the sentences that are there, up to `MOST_CHARACTERS`; None when there will be no more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._sentences or self._whole)
            if not self._sentences:
                return None
            taken = self._sentences.popleft()
            while self._sentences and len(taken) + len(self._sentences[0]) < MOST_CHARACTERS:
                taken = f"{taken} {self._sentences.popleft()}"
            self._changed.notify_all()
            return taken


async def speak(
    desk: Desk, script: Script, voice: Voice, *, priority: Priority = "std", timeout_s: float
) -> AsyncGenerator[bytes, None]:
    """Yield the sound of a script as it comes, 16-bit PCM at 24 kHz; closing the generator ends the work.

    One job after the other: two at once would only take turns at the engine, and the first would be late.
    Raises what the job raises: `InvalidValue` for an unknown voice, `Overloaded`, `Unavailable`, `Failure`.
    """
    expires_s = time.monotonic() + timeout_s
    spoken = False
    while (text := await script.take()) is not None:
        if spoken:
            yield bytes(2 * int(PAUSE_S / voice.speed * RATE))
        left_s = max(0.1, expires_s - time.monotonic())
        async with aclosing(_speak(desk, text, voice, priority=priority, timeout_s=left_s)) as sound:
            async for pcm in sound:
                spoken = True
                yield pcm


async def _speak(
    desk: Desk, text: str, voice: Voice, *, priority: Priority, timeout_s: float
) -> AsyncGenerator[bytes, None]:
    job = SynthesizeJob(
        text=text,
        model=voice.model,
        voice=voice.name,
        instructions=voice.instructions,
        format="pcm",
        speed=voice.speed,
        tenant=voice.tenant,
    )
    heard = skip = 0
    async with (
        running(desk, job, priority=priority, timeout_s=timeout_s) as current,
        aclosing(current.events()) as events,
    ):
        async for event in events:
            match event:
                case OutputEvent(kind="reset"):
                    # A new attempt says the same again: it goes on where the listener is.
                    skip = heard
                case OutputEvent(kind="audio", data=data):
                    new, skip = data[skip:], max(0, skip - len(data))
                    heard += len(new)
                    if new:
                        yield new
                case OutputEvent(kind="outcome", data=data):
                    result_of(Outcome.model_validate_json(data))
