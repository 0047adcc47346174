"""/transcriptions: submit, list, get, change, delete."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.access.principal import grant_of, tenant_of
from services.ingest.naming import catalogue_of
from services.ingest.platform import platform_of
from services.ingest.speech.address import Address
from services.ingest.speech.definition import read_changes, read_definition
from services.ingest.speech.documents import (
    TRANSCRIPTION_PROPERTIES,
    event_object,
    filter_row,
    poll_after_s,
    transcription_object,
)
from services.ingest.speech.exchange import (
    announce,
    body_of,
    json_response,
    list_response,
    transcriptions_of,
)
from services.ingest.speech.transcriptions import Transcription

router = APIRouter()
submitting = APIRouter()
creating = APIRouter()


@submitting.post("/transcriptions:submit")
@creating.post("/transcriptions")
async def submit(request: Request) -> Response:
    """Put a batch on the bus."""
    platform, address, tenant = platform_of(request), Address.of(request), tenant_of(request)
    catalogue = catalogue_of(request)
    definition = read_definition(
        await body_of(request),
        catalogue=catalogue,
        check_url=platform.egress.check_url,
        legacy=address.legacy,
    )
    model = definition.model or platform.settings.speech.speech_model
    catalogue.resolve(model, "transcribe")
    transcription = await transcriptions_of(request).submit(
        definition,
        tenant=tenant,
        model=model,
        meter=grant_of(request).meter,
        locate=lambda id: address.url("transcriptions", id),
    )
    announce(platform, tenant, "transcriptionCreation", _event(transcription), subject=transcription.record.id)
    return _shown(request, transcription, status=201)


@router.get("/transcriptions")
async def list_transcriptions(request: Request) -> Response:
    """A tenant's transcriptions, the oldest first."""
    return list_response(
        request,
        await transcriptions_of(request).all(tenant=tenant_of(request)),
        properties=TRANSCRIPTION_PROPERTIES,
        row=lambda each: filter_row(each.record, each.definition),
        show=lambda each: _object(request, each),
        path=("transcriptions",),
    )


@router.get("/transcriptions/{id}")
async def get_transcription(request: Request, id: str) -> Response:
    """One transcription."""
    return _shown(request, await transcriptions_of(request).find(id, tenant=tenant_of(request)))


@router.patch("/transcriptions/{id}")
async def update_transcription(request: Request, id: str) -> Response:
    """Change what a transcription is called."""
    transcriptions = transcriptions_of(request)
    found = await transcriptions.find(id, tenant=tenant_of(request))
    changes = read_changes(await body_of(request))
    return _shown(request, await transcriptions.update(found, changes.apply(found.definition)))


@router.delete("/transcriptions/{id}")
async def delete_transcription(request: Request, id: str) -> Response:
    """Stop a transcription and forget its results."""
    transcriptions, tenant = transcriptions_of(request), tenant_of(request)
    found = await transcriptions.find(id, tenant=tenant)
    await transcriptions.delete(found)
    announce(platform_of(request), tenant, "transcriptionDeletion", _event(found), subject=id)
    return Response(status_code=204)


def _shown(request: Request, transcription: Transcription, *, status: int = 200) -> Response:
    body, headers = _object(request, transcription), {}
    if status == 201:
        headers["location"] = body["self"]
    if not transcription.record.ended:
        now_ms = platform_of(request).bus.now_ms()
        headers["retry-after"] = str(poll_after_s(transcription.record, now_ms=now_ms))
    return json_response(body, status=status, headers=headers)


def _object(request: Request, transcription: Transcription) -> dict[str, Any]:
    return transcription_object(
        transcription.record,
        transcription.definition,
        address=Address.of(request),
        default_model=platform_of(request).settings.speech.speech_model,
    )


def _event(transcription: Transcription) -> dict[str, Any]:
    return event_object(transcription.record, transcription.definition)
