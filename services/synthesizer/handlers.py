"""A `synthesize` job becomes calls of an engine, encoded bytes on its output or in a blob, and a `Speech`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from antiphon.audio.encode import Encoder
from antiphon.audio.samples import Samples
from antiphon.audio.tokens import spoken_tokens
from antiphon.blobs import Blobs
from antiphon.failures import first_error
from antiphon.models import Catalogue
from antiphon.schemas import EventKind, Priority, Speech, SynthesizeJob
from services.synthesizer.booth import Booth, Guest
from services.synthesizer.engines import Limits
from services.synthesizer.engines.sound import silence
from services.synthesizer.pieces import Piece, pieces

EVENT_BYTES = 64 * 1024
"""Most bytes of audio in one event."""
NOTHING_S = 0.25
"""Length of the silence that a text without anything to say becomes."""
CHARACTERS_PER_TOKEN = 4


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

    async def progress(self, done: float, total: float | None) -> None:
        """Tell how far the work is."""
        ...


class Outlet(Protocol):
    """Where the encoded audio goes: the job's output, or a blob."""

    async def write(self, data: bytes) -> object:
        """Take the next bytes."""
        ...


class Sound(NamedTuple):
    """A stretch of sound, and how many characters of the text were spoken before it."""

    samples: Samples
    done: float


class Synthesize:
    """Handles `synthesize` jobs. `booths` holds the engine of each model of the catalogue by its name."""

    def __init__(self, *, catalogue: Catalogue, booths: Mapping[str, Booth], blobs: Blobs) -> None:
        self._catalogue = catalogue
        self._booths = booths
        self._blobs = blobs

    async def __call__(self, job: SynthesizeJob, work: Attempt) -> Speech:
        """Speak the text; the first bytes leave when its first piece has been spoken.

        A job that is not streamed names the blob that its audio is in.
        Raises `ModelNotFound` and `InvalidValue` before anything is written, and what `work.check` raises.
        """
        booth = self._booths[self._catalogue.resolve(job.model, "synthesize").name]
        voice = booth.voice(job.voice)
        encoder = Encoder(job.format, booth.engine.rate)
        async with AsyncExitStack() as stack:
            writer = None
            if not job.stream:
                writer = await stack.enter_async_context(self._blobs.writer(media_type=encoder.media_type))
            output = Output(writer or Events(work), encoder, booth.engine.rate)
            await _perform(job, work, output, booth, voice)
            return Speech(
                media_type=encoder.media_type,
                sample_rate=encoder.sample_rate,
                duration=output.duration_s,
                size=output.size,
                input_tokens=input_tokens(job.text),
                output_tokens=spoken_tokens(output.duration_s),
                audio=await writer.commit() if writer else None,
            )


@dataclass(frozen=True)
class Events:
    """The job's output stream."""

    work: Attempt

    async def write(self, data: bytes) -> None:
        """Emit in events of bounded size."""
        for start in range(0, len(data), EVENT_BYTES):
            await self.work.emit("audio", data[start : start + EVENT_BYTES])


@dataclass
class Output:
    """An encoder in front of an outlet."""

    outlet: Outlet
    encoder: Encoder
    rate: int
    samples: int = 0
    size: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds of sound so far."""
        return self.samples / self.rate

    async def write(self, samples: Samples) -> None:
        """Encode and pass on."""
        self.samples += len(samples)
        await self._pass_on(await asyncio.to_thread(self.encoder.feed, samples))

    async def finish(self) -> None:
        """Pass on what the encoder still holds."""
        await self._pass_on(await asyncio.to_thread(self.encoder.finish))

    async def _pass_on(self, data: bytes) -> None:
        self.size += len(data)
        await self.outlet.write(data)


def input_tokens(text: str) -> int:
    """Count a text as the API's models would, roughly: four characters a token."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


async def _perform(job: SynthesizeJob, work: Attempt, output: Output, booth: Booth, voice: str) -> None:
    sounds: asyncio.Queue[Sound | None] = asyncio.Queue(maxsize=1)
    try:
        with booth.guest(work.priority) as guest:
            # The next piece is spoken while the one before is encoded and written.
            async with asyncio.TaskGroup() as group:
                group.create_task(_fill(sounds, _speak(job, work, booth, voice, guest)))
                await _encode(sounds, work, output, total=len(job.text))
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None


async def _speak(job: SynthesizeJob, work: Attempt, booth: Booth, voice: str, guest: Guest) -> AsyncIterator[Sound]:
    """Yield the sound of the whole job with the pauses between its pieces."""
    rate = booth.engine.rate
    spoken = False
    script = await asyncio.to_thread(_script, job.text, booth.engine.limits)
    # What is spoken is not as long as what was written, once numbers and abbreviations are words.
    share = len(job.text) / max(1, sum(len(piece.text) for piece in script))
    done = 0.0
    for piece in script:
        pause_s = piece.pause_s / job.speed if spoken else 0.0
        work.check()
        async for sound in booth.speak(piece.text, voice=voice, speed=job.speed, guest=guest):
            if pause_s:
                yield Sound(silence(pause_s, rate), done)
            yield Sound(sound, done)
            spoken, pause_s = True, 0.0
            work.check()
        done += len(piece.text) * share
    if not spoken:
        yield Sound(silence(NOTHING_S, rate), done)


def _script(text: str, limits: Limits) -> list[Piece]:
    return list(pieces(text, limits))


async def _fill(queue: asyncio.Queue[Sound | None], sounds: AsyncIterator[Sound]) -> None:
    async for sound in sounds:
        await queue.put(sound)
    await queue.put(None)


async def _encode(queue: asyncio.Queue[Sound | None], work: Attempt, output: Output, *, total: int) -> None:
    told = 0.0
    while (sound := await queue.get()) is not None:
        work.check()
        if sound.done > told:
            told = sound.done
            await work.progress(round(told), total)
        await output.write(sound.samples)
    await output.finish()
    await work.progress(total, total)
