"""/transcriptions:transcribe: one recording, answered when it is transcribed."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from antiphon.calling import RunningJob
from antiphon.errors import MissingParameter
from antiphon.schemas import BlobRef, TranscribeJob, Transcript
from services.ingest.access.principal import tenant_of
from services.ingest.answers import Answer, JobResponse
from services.ingest.naming import catalogue_of
from services.ingest.platform import platform_of
from services.ingest.speech.address import ROOT
from services.ingest.speech.fast import FastRequest, fast_document, read_fast_request
from services.ingest.upload import receive_upload

FAST_PATH = f"{ROOT}/transcriptions:transcribe"
"""Bodies may be larger here than anywhere else."""

router = APIRouter()


@router.post("/transcriptions:transcribe")
async def transcribe(request: Request) -> Response:
    """Transcribe the part `audio`, or what is at the `audioUrl` of the definition."""
    platform, catalogue = platform_of(request), catalogue_of(request)
    async with receive_upload(
        request.headers, request.receive, platform.blobs, file_field="audio", text_fields=frozenset({"definition"})
    ) as upload:
        wanted = read_fast_request(
            upload.fields.text("definition"), catalogue=catalogue, check_url=platform.egress.check_url
        )
        uploaded = await upload.keep() if upload.present else None
    model = wanted.model or platform.settings.speech.speech_model
    catalogue.resolve(model, "transcribe")
    job = TranscribeJob(
        audio=uploaded or _audio_at(wanted.audio_url),
        model=model,
        options=wanted.options,
        tenant=tenant_of(request),
    )
    return JobResponse(
        platform, job, _whole(wanted), audio=uploaded, timeout=platform.settings.speech.speech_request_timeout
    )


def _audio_at(url: str | None) -> BlobRef:
    if url is None:
        raise MissingParameter("Either the part 'audio' or 'audioUrl' in the definition is required.", param="audio")
    return BlobRef(uri=url)


def _whole(wanted: FastRequest) -> Answer:
    async def answer(job: RunningJob, send: Send) -> None:
        body = orjson.dumps(fast_document(Transcript.model_validate(await job.result()), wanted))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer
