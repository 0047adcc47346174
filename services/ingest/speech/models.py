"""Base models and locales: what the catalogue and the recognisers have, as Azure AI Speech lists it."""

from __future__ import annotations

from typing import Any

from antiphon.errors import NotFound
from antiphon.languages import language_codes
from antiphon.models import Catalogue, PublicModel
from services.ingest.speech.address import Address
from services.ingest.speech.filters import Property
from services.ingest.speech.times import write_time

MODEL_PROPERTIES: dict[str, Property] = {
    "displayName": "text",
    "description": "text",
    "createdDateTime": "time",
    "lastActionDateTime": "time",
    "status": "text",
    "locale": "text",
}
"""What lists of models may be filtered by."""

MULTILINGUAL = "mul"
"""The locale of a model that knows many languages."""


def base_models(catalogue: Catalogue) -> list[PublicModel]:
    """Return the models that transcribe, in the order of the catalogue."""
    return [model for model in catalogue.public() if "transcribe" in model.kinds]


def base_model(catalogue: Catalogue, name: str) -> PublicModel:
    """Return one of them. Raises `NotFound`."""
    for model in base_models(catalogue):
        if model.id == name:
            return model
    raise NotFound("The specified model does not exist.")


def model_row(model: PublicModel) -> dict[str, Any]:
    """Return what a model is filtered by."""
    return {
        "displayName": model.id,
        "description": _description(model),
        "createdDateTime": model.created,
        "lastActionDateTime": model.created,
        "status": "Succeeded",
        "locale": MULTILINGUAL,
    }


def model_object(model: PublicModel, address: Address) -> dict[str, Any]:
    """Return a model as clients see it."""
    created = write_time(model.created * 1000)
    properties: dict[str, Any] = {"features": {"supportsTranscriptions": True}}
    if model.shutdown_date:
        properties["deprecationDates"] = {"transcriptionDateTime": f"{model.shutdown_date}T00:00:00Z"}
    return {
        "self": address.url("models", "base", model.id),
        "displayName": model.id,
        "description": _description(model),
        "locale": MULTILINGUAL,
        "createdDateTime": created,
        "lastActionDateTime": created,
        "status": "Succeeded",
        "properties": properties,
    }


def locales_object(*, legacy: bool) -> list[str] | dict[str, list[str]]:
    """Return the languages that are known. Any locale of theirs is accepted."""
    codes = list(language_codes())
    return codes if legacy else {"submit": codes, "transcribe": codes}


def _description(model: PublicModel) -> str:
    return f"{model.id} base model, many languages, served by {model.model}"
