"""A `synthesize` job becomes calls of an engine, encoded bytes on the job's output, and a `Speech`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from antiphon.audio.encode import Encoder
from antiphon.audio.samples import Samples
from antiphon.models import Catalogue
from antiphon.schemas import EventKind, Priority, Speech, SynthesizeJob
from services.synthesizer.booth import Booth, Guest
from services.synthesizer.engines.sound import silence
from services.synthesizer.pieces import pieces

EVENT_BYTES = 64 * 1024
"""Most bytes of audio in one event."""
NOTHING_S = 0.25
"""Length of the silence that a text without anything to say becomes."""
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_SECOND = 20


class Attempt(Protocol):
    """The part of the bus's `Work` that is needed here."""

    @property
    def priority(self) -> Priority:
        """How urgent the job is."""
        ...

    def check(self) -> None:
        """Raise if the work is to stop."""
        ...

    async def emit(self, kind: EventKind, data: bytes) -> None:
        """Append to the job's output."""
        ...


class Synthesize:
    """Handles `synthesize` jobs. `booths` holds the engine of each model of the catalogue by its name."""

    def __init__(self, *, catalogue: Catalogue, booths: Mapping[str, Booth]) -> None:
        self._catalogue = catalogue
        self._booths = booths

    async def __call__(self, job: SynthesizeJob, work: Attempt) -> Speech:
        """Speak the text; the first bytes leave when its first piece has been spoken.

        Raises `ModelNotFound` and `InvalidValue` before anything is written, and what `work.check` raises.
        """
        booth = self._booths[self._catalogue.resolve(job.model, "synthesize").name]
        voice = booth.voice(job.voice)
        sounds: asyncio.Queue[Samples | None] = asyncio.Queue(maxsize=1)
        try:
            # The next piece is spoken while the one before is encoded and written.
            async with asyncio.TaskGroup() as group:
                group.create_task(_fill(sounds, _speak(job, work, booth, voice)))
                output = await _encode(sounds, Output(work, Encoder(job.format, booth.engine.rate), booth.engine.rate))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return Speech(
            media_type=output.encoder.media_type,
            sample_rate=output.encoder.sample_rate,
            duration=output.duration_s,
            size=output.size,
            input_tokens=input_tokens(job.text),
            output_tokens=output_tokens(output.duration_s),
        )


@dataclass
class Output:
    """The job's output stream behind its encoder."""

    work: Attempt
    encoder: Encoder
    rate: int
    samples: int = 0
    size: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds of sound so far."""
        return self.samples / self.rate

    async def write(self, samples: Samples) -> None:
        """Encode and emit."""
        self.samples += len(samples)
        await self._emit(await asyncio.to_thread(self.encoder.feed, samples))

    async def finish(self) -> None:
        """Emit what the encoder still holds."""
        await self._emit(await asyncio.to_thread(self.encoder.finish))

    async def _emit(self, data: bytes) -> None:
        self.size += len(data)
        for start in range(0, len(data), EVENT_BYTES):
            await self.work.emit("audio", data[start : start + EVENT_BYTES])


def input_tokens(text: str) -> int:
    """Count a text as the API's models would, roughly: four characters a token."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def output_tokens(duration_s: float) -> int:
    """Count sound as the API's models do: a token is 50 ms."""
    return math.ceil(duration_s * TOKENS_PER_SECOND)


async def _speak(job: SynthesizeJob, work: Attempt, booth: Booth, voice: str) -> AsyncIterator[Samples]:
    """Yield the sound of the whole job with the pauses between its pieces."""
    guest = Guest(work.priority)
    rate = booth.engine.rate
    spoken = False
    for piece in pieces(job.text, booth.engine.limits):
        pause_s = piece.pause_s / job.speed if spoken else 0.0
        work.check()
        async for sound in booth.speak(piece.text, voice=voice, speed=job.speed, guest=guest):
            if pause_s:
                yield silence(pause_s, rate)
            yield sound
            spoken, pause_s = True, 0.0
            work.check()
    if not spoken:
        yield silence(NOTHING_S, rate)


async def _fill(queue: asyncio.Queue[Samples | None], sounds: AsyncIterator[Samples]) -> None:
    async for sound in sounds:
        await queue.put(sound)
    await queue.put(None)


async def _encode(queue: asyncio.Queue[Samples | None], output: Output) -> Output:
    while (sound := await queue.get()) is not None:
        await output.write(sound)
    await output.finish()
    return output


def _first(error: BaseException) -> BaseException:
    """Return the first error in a group of groups: the one that ended the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
