"""/models: every name that a client may send."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import ModelNotFound
from antiphon.models import PublicModel
from services.ingest.json_answers import json_answer
from services.ingest.naming import catalogue_of

router = APIRouter(prefix="/models")


@router.get("")
async def list_models(request: Request) -> Response:
    """All models that the key may use."""
    models = [_model_object(model) for model in catalogue_of(request).public()]
    return json_answer({"object": "list", "data": models})


@router.get("/{name:path}")
async def retrieve_model(request: Request, name: str) -> Response:
    """One model. Raises `ModelNotFound`."""
    for model in catalogue_of(request).public():
        if model.id == name:
            return json_answer(_model_object(model))
    raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")


def _model_object(model: PublicModel) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    }
    return described | ({"shutdown_date": model.shutdown_date} if model.shutdown_date else {})
