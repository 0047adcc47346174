"""From the events of a job to the bytes of its response.

The status of a response is sent with its first bytes, so what goes wrong before them still has a status of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from antiphon.bus import OutputEvent
from antiphon.calling import RunningJob, result_of, running
from antiphon.errors import AntiphonError
from antiphon.models import PublicModel
from antiphon.schemas import MEDIA_TYPES, AudioFormat, BlobRef, Job, Outcome, Transcript
from services.ingest.disconnect import unless_gone
from services.ingest.errors import told
from services.ingest.errors_openai import error_object
from services.ingest.formats.continued import Continued
from services.ingest.formats.events import EventsOf, SpeechEvents, TranscriptEvents
from services.ingest.formats.transcripts import render
from services.ingest.parameters.transcription import TranscriptionRequest
from services.ingest.platform import Platform
from services.ingest.sse import EventStream

Answer = Callable[[RunningJob, Send], Coroutine[Any, Any, None]]
"""Waits for a job and sends what it gives."""

_LOG = logging.getLogger("antiphon.ingest")


class JobResponse(Response):
    """A response that is made while a job runs, and ends the job when the client leaves."""

    def __init__(
        self,
        platform: Platform,
        job: Job,
        answer: Answer,
        *,
        audio: BlobRef | None = None,
        timeout: timedelta | None = None,
    ) -> None:
        super().__init__()
        self._platform = platform
        self._job = job
        self._answer = answer
        self._audio = audio
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Submit the job and send its answer. Raises `AntiphonError` while nothing is sent, `ClientDisconnect`."""
        timeout_s = self._timeout.total_seconds() if self._timeout else None
        desk = scope["principal"].grant.at(self._platform.desk)
        async with running(desk, self._job, audio=self._audio, timeout_s=timeout_s) as job:
            await unless_gone(receive, self._answer(job, send))


def whole_transcript(request: TranscriptionRequest, model: PublicModel) -> Answer:
    """Answer with the transcript in one piece."""

    async def answer(job: RunningJob, send: Send) -> None:
        document = render(Transcript.model_validate(await job.result()), request, model)
        headers = [
            (b"content-type", document.media_type.encode()),
            (b"content-length", str(len(document.body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": document.body})

    return answer


def streamed_transcript(model: PublicModel, *, ping_s: float) -> Answer:
    """Answer with events as the text grows."""

    async def answer(job: RunningJob, send: Send) -> None:
        await _relay(job, EventStream(send), TranscriptEvents(model), ping_s=ping_s)

    return answer


def streamed_audio(audio_format: AudioFormat) -> Answer:
    """Answer with the bytes of the audio as they come.

    When its worker is lost, another one speaks the same. Bytes cannot be taken back: when they cannot be continued, the
    connection is broken off so that the client sees that they are not the whole.
    """

    async def answer(job: RunningJob, send: Send) -> None:
        headers = [(b"content-type", MEDIA_TYPES[audio_format].encode())]
        started, audio = False, Continued()
        try:
            async with aclosing(job.events()) as events:
                async for event in events:
                    match event:
                        case OutputEvent(kind="reset"):
                            audio.restart()
                        case OutputEvent(kind="audio", data=data) if data := audio.take(data):
                            if not started:
                                started = True
                                await send({"type": "http.response.start", "status": 200, "headers": headers})
                            await send({"type": "http.response.body", "body": data, "more_body": True})
                        case OutputEvent(kind="outcome", data=data):
                            result_of(Outcome.model_validate_json(data))
                            audio.finish()
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except AntiphonError as error:
            if not started:
                raise
            _LOG.warning("broke off audio: %s", told(error).code)

    return answer


def audio_events(*, ping_s: float) -> Answer:
    """Answer with the audio in base64 slices, as events."""

    async def answer(job: RunningJob, send: Send) -> None:
        await _relay(job, EventStream(send), SpeechEvents(), ping_s=ping_s)

    return answer


async def _relay(job: RunningJob, stream: EventStream, events_of: EventsOf, *, ping_s: float) -> None:
    """Send the events that `events_of` makes of the job's output, then `[DONE]`.

    Raises an error that comes before the first of them; a later one is an event itself.
    """
    try:
        async with aclosing(job.events(idle_s=ping_s)) as outputs:
            async for output in outputs:
                if output is None:
                    await stream.ping()
                    continue
                for event in events_of(output):
                    await stream.emit(event)
    except AntiphonError as error:
        await fail_stream(stream, error)
    else:
        await stream.close(done=True)


async def fail_stream(stream: EventStream, error: AntiphonError) -> None:
    """End a stream with an error: as its last event, or by raising it while nothing has been sent."""
    if not stream.started:
        raise error
    await stream.emit(error_object(told(error)))
    await stream.close(done=False)
