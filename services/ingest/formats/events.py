"""What a job writes, as the events of the synchronous API. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from antiphon.bus import OutputEvent
from antiphon.calling import result_of
from antiphon.models import PublicModel
from antiphon.schemas import Delta, Outcome, Speech, Transcript
from services.ingest.formats.continued import Continued
from services.ingest.formats.growing import Addition, GrowingText
from services.ingest.formats.transcripts import done_event, logprob_objects
from services.ingest.formats.usage import speech_usage

EventsOf = Callable[[OutputEvent], Iterator[dict[str, Any]]]
"""Makes the events that follow from an entry of a job's output. Raises the job's error."""


class TranscriptEvents:
    """The deltas of a text, and its end."""

    def __init__(self, model: PublicModel) -> None:
        self._model = model
        self._text = GrowingText()

    def __call__(self, output: OutputEvent) -> Iterator[dict[str, Any]]:
        """Yield what is new. Raises `TranscriptDiverged`, the job's error."""
        match output.kind:
            case "reset":
                self._text.restart()
            case "delta":
                yield from _additions(self._text.add(Delta.model_validate_json(output.data)))
            case "outcome":
                transcript = Transcript.model_validate(result_of(Outcome.model_validate_json(output.data)))
                yield from _additions(self._text.finish(transcript))
                yield done_event(self._text.sent, transcript, self._model)


class SpeechEvents:
    """Slices of audio, and its end."""

    def __init__(self) -> None:
        self._audio = Continued()

    def __call__(self, output: OutputEvent) -> Iterator[dict[str, Any]]:
        """Yield the next slice. Raises `Interrupted` when what was sent cannot be continued, the job's error."""
        match output.kind:
            case "reset":
                self._audio.restart()
            case "audio" if data := self._audio.take(output.data):
                yield {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}
            case "outcome":
                speech = Speech.model_validate(result_of(Outcome.model_validate_json(output.data)))
                self._audio.finish()
                yield {"type": "speech.audio.done", "usage": speech_usage(speech)}


def _additions(addition: Addition | None) -> Iterator[dict[str, Any]]:
    if addition is None:
        return
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": addition.text}
    if addition.logprobs is not None:
        event["logprobs"] = logprob_objects(addition.logprobs)
    yield event
