"""Which model a request is for."""

from __future__ import annotations

from starlette.requests import Request

from antiphon.given import missing
from antiphon.models import Catalogue, Model
from antiphon.schemas import Kind
from services.ingest.access.principal import grant_of
from services.ingest.platform import platform_of


def catalogue_of(request: Request) -> Catalogue:
    """Return the models that a request may name."""
    return platform_of(request).catalogue.only(grant_of(request).models)


def deployed_model(request: Request, kind: Kind) -> Model | None:
    """Return the model of the deployment that the path names, before the body is read.

    Raises `ModelNotFound`, `ModelForbidden`.
    """
    deployment = request.path_params.get("deployment")
    return None if deployment is None else catalogue_of(request).resolve(deployment, kind)


def model_name(request: Request, named: str | None) -> str:
    """Return the name of the model: the path wins over the body. Raises `MissingParameter`."""
    name: str | None = request.path_params.get("deployment") or named
    if name is None:
        raise missing("model")
    return name
