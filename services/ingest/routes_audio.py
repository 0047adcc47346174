"""/audio/transcriptions, /audio/translations, /audio/speech."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.schemas import SynthesizeJob, TranscribeJob, TranslateJob
from services.ingest.access.principal import tenant_of
from services.ingest.answers import JobResponse, audio_events, streamed_audio, streamed_transcript, whole_transcript
from services.ingest.json_body import read_object
from services.ingest.naming import catalogue_of, deployed_model, model_name
from services.ingest.parameters.fields import Members, Parameters
from services.ingest.parameters.speech import read_speech
from services.ingest.parameters.transcription import read_transcription, read_translation
from services.ingest.platform import Platform, platform_of
from services.ingest.upload import is_form, read_fields, receive_upload

MAX_JSON_BYTES = 2**20

router = APIRouter(prefix="/audio")


@router.post("/transcriptions")
async def create_transcription(request: Request) -> Response:
    """Speech to text in the language spoken."""
    platform, model = platform_of(request), deployed_model(request, "transcribe")
    async with receive_upload(request.headers, request.receive, platform.blobs) as upload:
        name = model_name(request, upload.fields.text("model"))
        model = model or catalogue_of(request).resolve(name, "transcribe")
        wanted = read_transcription(upload.fields, model.public, strict=platform.settings.strict)
        audio = await upload.keep()
    job = TranscribeJob(
        audio=audio, model=name, options=wanted.options, stream=wanted.stream, tenant=tenant_of(request)
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
    platform, model = platform_of(request), deployed_model(request, "translate")
    async with receive_upload(request.headers, request.receive, platform.blobs) as upload:
        name = model_name(request, upload.fields.text("model"))
        model = model or catalogue_of(request).resolve(name, "translate")
        wanted = read_translation(upload.fields, model.public, strict=platform.settings.strict)
        audio = await upload.keep()
    job = TranslateJob(audio=audio, model=name, options=wanted.options, tenant=tenant_of(request))
    return JobResponse(platform, job, whole_transcript(wanted, model.public), audio=audio)


@router.post("/speech")
async def create_speech(request: Request) -> Response:
    """Text to speech."""
    platform, model = platform_of(request), deployed_model(request, "synthesize")
    parameters = await _speech_parameters(request)
    name = model_name(request, parameters.text("model"))
    model = model or catalogue_of(request).resolve(name, "synthesize")
    wanted = read_speech(parameters, model.public)
    job = SynthesizeJob(
        text=wanted.text,
        model=name,
        voice=wanted.voice,
        instructions=wanted.instructions,
        format=wanted.format,
        speed=wanted.speed,
        tenant=tenant_of(request),
    )
    as_events = wanted.stream_format == "sse"
    answer = audio_events(ping_s=_ping_s(platform)) if as_events else streamed_audio(wanted.format)
    return JobResponse(platform, job, answer)


def _ping_s(platform: Platform) -> float:
    return platform.settings.ping.total_seconds()


async def _speech_parameters(request: Request) -> Parameters:
    if is_form(request.headers):
        return await read_fields(request.headers, request.receive)
    limit_bytes = min(MAX_JSON_BYTES, platform_of(request).settings.max_upload_bytes)
    return Members(await read_object(request, limit_bytes=limit_bytes))
