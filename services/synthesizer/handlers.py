"""A `synthesize` job becomes calls of an engine, encoded bytes on its output or in a blob, and a `Speech`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol
from zlib import crc32

from antiphon.audio.encode import Encoder
from antiphon.audio.samples import Samples
from antiphon.audio.tokens import spoken_tokens
from antiphon.blobs import Blobs
from antiphon.failures import first_error
from antiphon.models import Catalogue
from antiphon.schemas import EventKind, Priority, Speech, SynthesizeJob
from antiphon.telemetry.instruments import AUDIO_SECONDS, REAL_TIME_FACTOR
from antiphon.telemetry.stages import OpenStage, observe_stage, open_stage, stage
from services.synthesizer.booth import Booth, Guest
from services.synthesizer.engines import Limits
from services.synthesizer.engines.sound import silence
from services.synthesizer.pieces import Piece, pieces

EVENT_BYTES = 64 * 1024
"""Most bytes of audio in one event."""
NOTHING_S = 0.25
"""Length of the silence that a text without anything to say becomes."""
CHARACTERS_PER_TOKEN = 4

_LANE = "synthesize"


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
        began_s = time.monotonic()
        model = self._catalogue.resolve(job.model, "synthesize")
        booth = self._booths[model.name]
        voice = booth.voice(job.voice)
        encoder = Encoder(job.format, booth.engine.rate, serial=crc32(job.id.encode()) >> 1)
        async with AsyncExitStack() as stack:
            writer = None
            if not job.stream:
                writer = await stack.enter_async_context(self._blobs.writer(media_type=encoder.media_type))
            encoding = stack.enter_context(open_stage("encode", lane=_LANE, antiphon__audio__format=job.format))
            output = Output(writer or Events(work), encoder, booth.engine.rate, encoding)
            with open_stage(
                "synthesize",
                lane=_LANE,
                gen_ai__operation__name="synthesize",
                gen_ai__provider__name=model.engine,
                gen_ai__request__model=job.model,
                gen_ai__response__model=model.name,
                antiphon__priority=work.priority,
            ) as speaking:
                await _perform(job, work, output, booth, voice=voice, speaking=speaking)
                speaking.span.set_attribute("antiphon.audio.duration_s", round(output.duration_s, 3))
            AUDIO_SECONDS.labels(_LANE, model.name).inc(output.duration_s)
            REAL_TIME_FACTOR.labels(_LANE, model.name).observe((time.monotonic() - began_s) / output.duration_s)
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
    """An encoder in front of an outlet, and the stage that its work belongs to."""

    outlet: Outlet
    encoder: Encoder
    rate: int
    encoding: OpenStage
    samples: int = 0
    size: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds of sound so far."""
        return self.samples / self.rate

    async def write(self, samples: Samples) -> None:
        """Encode and pass on."""
        self.samples += len(samples)
        await self._pass_on(await self._at_work(partial(self.encoder.feed, samples)))

    async def finish(self) -> None:
        """Pass on what the encoder still holds."""
        await self._pass_on(await self._at_work(self.encoder.finish))

    async def _at_work(self, encode: Callable[[], bytes]) -> bytes:
        started_s = time.monotonic()
        data = await asyncio.to_thread(encode)
        self.encoding.add(time.monotonic() - started_s)
        return data

    async def _pass_on(self, data: bytes) -> None:
        self.size += len(data)
        await self.outlet.write(data)


def input_tokens(text: str) -> int:
    """Count a text as the API's models would, roughly: four characters a token."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


async def _perform(
    job: SynthesizeJob, work: Attempt, output: Output, booth: Booth, *, voice: str, speaking: OpenStage
) -> None:
    sounds: asyncio.Queue[Sound | None] = asyncio.Queue(maxsize=1)
    try:
        with booth.guest(work.priority) as guest:
            try:
                # The next piece is spoken while the one before is encoded and written.
                async with asyncio.TaskGroup() as group:
                    group.create_task(_fill(sounds, _speak(job, work, booth, voice, guest)))
                    await _encode(sounds, work, output, total=len(job.text))
            finally:
                speaking.add(guest.served_s)
                speaking.span.set_attribute("antiphon.wait_s", round(guest.waited_s, 6))
                observe_stage("wait", guest.waited_s, lane=_LANE)
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None


async def _speak(job: SynthesizeJob, work: Attempt, booth: Booth, voice: str, guest: Guest) -> AsyncIterator[Sound]:
    """Yield the sound of the whole job with the pauses between its pieces."""
    rate = booth.engine.rate
    spoken = False
    with stage("prepare", lane=_LANE):
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
