"""/audio/transcriptions, /audio/translations, /audio/speech."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import UnsupportedMediaType
from antiphon.models import Model
from antiphon.schemas import Kind, SynthesizeJob, TranscribeJob, TranslateJob
from services.ingest.answers import JobResponse, audio_events, streamed_audio, streamed_transcript, whole_transcript
from services.ingest.auth import Principal
from services.ingest.body import read_whole
from services.ingest.errors import MalformedBody
from services.ingest.parameters.fields import missing
from services.ingest.parameters.speech import read_speech, values_of
from services.ingest.parameters.transcription import read_transcription, read_translation
from services.ingest.platform import Platform, platform_of
from services.ingest.upload import read_fields, receive_upload

MAX_JSON_BYTES = 2**20

router = APIRouter(prefix="/audio")


@router.post("/transcriptions")
async def create_transcription(request: Request) -> Response:
    """Speech to text in the language spoken."""
    platform, model = platform_of(request), _deployed(request, "transcribe")
    async with receive_upload(request.headers, request.receive, platform.blobs) as upload:
        name = _name(request, upload.fields.text("model"))
        model = model or platform.catalogue.resolve(name, "transcribe")
        wanted = read_transcription(upload.fields, model.public, strict=platform.settings.strict)
        audio = await upload.keep()
    job = TranscribeJob(
        audio=audio, model=name, options=wanted.options, stream=wanted.stream, tenant=_principal(request).tenant
    )
    answer = (
        streamed_transcript(model.public, ping_s=_ping_s(platform))
        if wanted.stream
        else whole_transcript(wanted, model.public)
    )
    return JobResponse(platform, job, answer, audio=audio)


@router.post("/translations")
async def create_translation(request: Request) -> Response:
    """Speech to English text."""
    platform, model = platform_of(request), _deployed(request, "translate")
    async with receive_upload(request.headers, request.receive, platform.blobs) as upload:
        name = _name(request, upload.fields.text("model"))
        model = model or platform.catalogue.resolve(name, "translate")
        wanted = read_translation(upload.fields, model.public, strict=platform.settings.strict)
        audio = await upload.keep()
    job = TranslateJob(audio=audio, model=name, options=wanted.options, tenant=_principal(request).tenant)
    return JobResponse(platform, job, whole_transcript(wanted, model.public), audio=audio)


@router.post("/speech")
async def create_speech(request: Request) -> Response:
    """Text to speech."""
    platform, model = platform_of(request), _deployed(request, "synthesize")
    values = await _speech_values(request)
    name = _name(request, values.get("model"))
    model = model or platform.catalogue.resolve(name, "synthesize")
    wanted = read_speech(values, model.public)
    job = SynthesizeJob(
        text=wanted.text,
        model=name,
        voice=wanted.voice,
        instructions=wanted.instructions,
        format=wanted.format,
        speed=wanted.speed,
        tenant=_principal(request).tenant,
    )
    as_events = wanted.stream_format == "sse"
    answer = audio_events(ping_s=_ping_s(platform)) if as_events else streamed_audio(wanted.format)
    return JobResponse(platform, job, answer)


def _deployed(request: Request, kind: Kind) -> Model | None:
    """Return the model of the deployment that the path names, before the body is read. Raises `ModelNotFound`."""
    deployment = request.path_params.get("deployment")
    return None if deployment is None else platform_of(request).catalogue.resolve(deployment, kind)


def _name(request: Request, named: object) -> str:
    """Return the model that the request is for: the path wins over the body."""
    name = request.path_params.get("deployment") or named
    if not isinstance(name, str):
        raise missing("model")
    return name


def _principal(request: Request) -> Principal:
    principal: Principal = request.scope["principal"]
    return principal


def _ping_s(platform: Platform) -> float:
    return platform.settings.ping.total_seconds()


async def _speech_values(request: Request) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return values_of(await read_fields(request.headers, request.receive))
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"Unsupported content type: '{media_type}'. This endpoint reads 'application/json'.")
    limit_bytes = min(MAX_JSON_BYTES, platform_of(request).settings.max_upload_bytes)
    try:
        values = orjson.loads(await read_whole(request.receive, limit_bytes=limit_bytes))
    except orjson.JSONDecodeError:
        raise MalformedBody("We could not parse the JSON body of your request.") from None
    if not isinstance(values, dict):
        raise MalformedBody("The body of your request must be a JSON object.")
    return values
