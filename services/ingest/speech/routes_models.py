"""/models/base and /transcriptions/locales: what there is to choose from."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.naming import catalogue_of
from services.ingest.speech.address import Address
from services.ingest.speech.exchange import json_response, list_response
from services.ingest.speech.models import (
    MODEL_PROPERTIES,
    base_model,
    base_models,
    locales_object,
    model_object,
    model_row,
)

router = APIRouter()


@router.get("/transcriptions/locales")
async def list_locales(request: Request) -> Response:
    """The languages that are known."""
    return json_response(locales_object(legacy=Address.of(request).legacy))


@router.get("/models/base")
async def list_base_models(request: Request) -> Response:
    """The models that transcribe."""
    address = Address.of(request)
    return list_response(
        request,
        base_models(catalogue_of(request)),
        properties=MODEL_PROPERTIES,
        row=model_row,
        show=lambda model: model_object(model, address),
        path=("models", "base"),
    )


@router.get("/models/base/{name:path}")
async def get_base_model(request: Request, name: str) -> Response:
    """One of them."""
    return json_response(model_object(base_model(catalogue_of(request), name), Address.of(request)))
