"""A transcript in the format that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from antiphon.languages import language_name
from antiphon.models import PublicModel
from antiphon.schemas import TokenLogprob, Transcript
from services.ingest.formats.subtitles import srt, vtt
from services.ingest.formats.usage import duration_usage, token_usage
from services.ingest.parameters.transcription import TranscriptionRequest


@dataclass(frozen=True)
class Document:
    """A whole body and its content type."""

    body: bytes
    media_type: str


def render(transcript: Transcript, request: TranscriptionRequest, model: PublicModel) -> Document:
    """Return the body of a response that is not streamed."""
    content = content_of(transcript, request, model)
    if isinstance(content, dict):
        return Document(orjson.dumps(content), "application/json")
    subtype = "vtt" if request.format == "vtt" else "plain"
    return Document(content.encode(), f"text/{subtype}; charset=utf-8")


def content_of(transcript: Transcript, request: TranscriptionRequest, model: PublicModel) -> str | dict[str, Any]:
    """Return a transcript as text, or as the object that is sent as JSON."""
    match request.format:
        case "text":
            return f"{transcript.text.strip()}\n"
        case "srt":
            return srt(transcript.segments)
        case "vtt":
            return vtt(transcript.segments)
        case "verbose_json":
            return _verbose(transcript, request)
        case _:
            return _brief(transcript, model)


def done_event(text: str, transcript: Transcript, model: PublicModel) -> dict[str, Any]:
    """Return the event that ends a streamed transcript whose deltas add up to `text`."""
    event: dict[str, Any] = {"type": "transcript.text.done", "text": text}
    if _names_languages(model):
        event["languages"] = _languages(transcript)
    if transcript.logprobs is not None:
        event["logprobs"] = logprob_objects(transcript.logprobs)
    return {**event, "usage": token_usage(transcript)}


def logprob_objects(logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Return log-probabilities as the API shows them."""
    return [{"token": each.token, "logprob": each.logprob, "bytes": list(each.bytes)} for each in logprobs]


def _brief(transcript: Transcript, model: PublicModel) -> dict[str, Any]:
    body: dict[str, Any] = {"text": transcript.text.strip()}
    if transcript.task == "transcribe" and _names_languages(model):
        body["languages"] = _languages(transcript)
    if transcript.logprobs is not None:
        body["logprobs"] = logprob_objects(transcript.logprobs)
    usage = token_usage if model.usage == "tokens" else duration_usage
    return {**body, "usage": usage(transcript)}


def _verbose(transcript: Transcript, request: TranscriptionRequest) -> dict[str, Any]:
    spoken = transcript.language if transcript.task == "transcribe" else "en"
    body: dict[str, Any] = {
        "task": transcript.task,
        "language": language_name(spoken),
        "duration": transcript.duration,
        "text": transcript.text.strip(),
    }
    if "segment" in request.granularities:
        body["segments"] = [segment.model_dump() for segment in transcript.segments]
    if "word" in request.granularities:
        body["words"] = [word.model_dump() for word in transcript.words or ()]
    return {**body, "usage": duration_usage(transcript)}


def _names_languages(model: PublicModel) -> bool:
    return model.base.startswith("gpt-transcribe")


def _languages(transcript: Transcript) -> list[dict[str, str]]:
    return [{"code": transcript.language}] if transcript.detected else []
