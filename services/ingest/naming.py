"""Which model a request is for."""

from __future__ import annotations

from starlette.requests import Request

from antiphon.given import missing
from antiphon.models import Model
from antiphon.schemas import Kind
from services.ingest.platform import platform_of


def deployed_model(request: Request, kind: Kind) -> Model | None:
    """Return the model of the deployment that the path names, before the body is read. Raises `ModelNotFound`."""
    deployment = request.path_params.get("deployment")
    return None if deployment is None else platform_of(request).catalogue.resolve(deployment, kind)


def model_name(request: Request, named: str | None) -> str:
    """Return the name of the model: the path wins over the body. Raises `MissingParameter`."""
    name: str | None = request.path_params.get("deployment") or named
    if name is None:
        raise missing("model")
    return name
