"""The recordings of a conversation: kept where a worker finds them, and put into words for a model that cannot hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from antiphon.audio.sniff import HEAD_BYTES, Container, sniff
from antiphon.calling import Desk, running
from antiphon.errors import AntiphonError, InvalidAudio, InvalidRequest, JobFailed
from antiphon.failures import first_error
from antiphon.schemas import AudioPart, BlobRef, TranscribeJob, Transcript
from services.ingest.chat.heard import Heard, HeardRecordings, fingerprint_of
from services.ingest.chat.request import Recording

AT_ONCE = 4
"""Recordings of one request that are recognised side by side; one request must not fill the lane."""
_NOT_AUDIO = "The audio data could not be decoded: it is not an audio file of a supported format."


@dataclass(frozen=True)
class Ears:
    """What recordings are recognised with: by `model`, for `tenant`."""

    desk: Desk
    heard: HeardRecordings
    model: str
    tenant: str
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def hear(self, recording: Recording, *, timeout_s: float) -> Heard:
        """Return what is said in a recording.

        Raises `InvalidAudio` where it cannot be decoded, and what the job raises; the `param` is the recording's place.
        """
        container = container_of(recording)
        fingerprint = await fingerprint_of(recording.data)
        known = await self.heard.get(fingerprint, tenant=self.tenant, model=self.model)
        if known is not None:
            return known
        async with self.turns:
            try:
                heard = await self._recognise(recording, container, timeout_s=timeout_s)
            except InvalidRequest as error:
                raise _at(error, recording) from None
            except JobFailed as error:
                raise (_at(error, recording) if error.info().http_status < 500 else error) from None
        await self.heard.put(fingerprint, heard, tenant=self.tenant, model=self.model)
        return heard

    async def _recognise(self, recording: Recording, container: Container, *, timeout_s: float) -> Heard:
        audio = await self.desk.blobs.put(recording.data, media_type=container.media_type)
        job = TranscribeJob(audio=audio, model=self.model, tenant=self.tenant)
        async with running(self.desk, job, audio=audio, timeout_s=timeout_s) as current:
            transcript = Transcript.model_validate(await current.result())
        return Heard(text=transcript.text.strip(), duration_s=transcript.duration)


async def put_into_words(
    recordings: tuple[Recording, ...], ears: Ears, *, timeout_s: float
) -> tuple[dict[str, AudioPart], float]:
    """Return what stands for each recording, by its place, with its transcript; and the seconds heard in total."""
    tasks: dict[str, asyncio.Task[Heard]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for recording in recordings:
                tasks[recording.param] = group.create_task(ears.hear(recording, timeout_s=timeout_s))
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None
    heard = {place: task.result() for place, task in tasks.items()}
    parts = {
        recording.param: AudioPart(audio=_NOWHERE, format=recording.format, transcript=heard[recording.param].text)
        for recording in recordings
    }
    return parts, sum(each.duration_s for each in heard.values())


@asynccontextmanager
async def kept(recordings: tuple[Recording, ...], desk: Desk) -> AsyncIterator[dict[str, AudioPart]]:
    """Keep recordings for a model that hears, by their places, while the block runs.

    Raises `InvalidAudio`, `Unavailable`.
    """
    async with AsyncExitStack() as stack:
        parts: dict[str, AudioPart] = {}
        for recording in recordings:
            container = container_of(recording)
            audio = await desk.blobs.put(recording.data, media_type=container.media_type)
            stack.callback(_discard, desk, audio)
            parts[recording.param] = AudioPart(audio=audio, format=container.name)
        yield parts


def container_of(recording: Recording) -> Container:
    """Return what kind of file a recording is. Raises `InvalidAudio`."""
    container = sniff(recording.data[:HEAD_BYTES])
    if container is None:
        raise InvalidAudio(_NOT_AUDIO, param=recording.param)
    return container


def _at(error: AntiphonError, recording: Recording) -> JobFailed:
    """Return the error as one of this recording: a job knows only of its one file."""
    return JobFailed(error.info().model_copy(update={"param": recording.param}))


_NOWHERE = BlobRef(uri="data:,")
"""The recording itself is of no more use to a model that cannot hear."""


def _discard(desk: Desk, audio: BlobRef) -> None:
    desk.aftercare.adopt(desk.blobs.delete(audio))
