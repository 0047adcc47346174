"""/speechtotext: batch transcription, fast transcription and webhooks of Azure AI Speech."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request

from antiphon.errors import InvalidValue
from antiphon.given import missing
from services.ingest.errors import RouteNotFound
from services.ingest.speech import routes_fast, routes_files, routes_hooks, routes_models, routes_transcriptions
from services.ingest.speech.address import LEGACY, ROOT
from services.ingest.speech.routes_fast import FAST_PATH
from services.ingest.surface import is_api_version

__all__ = ["FAST_PATH", "router"]


async def _require_api_version(request: Request) -> None:
    version = request.query_params.get("api-version")
    if version is None:
        raise missing("api-version")
    if not is_api_version(version):
        raise InvalidValue("Invalid value for 'api-version': expected a date.", param="api-version")


async def _require_known_version(request: Request) -> None:
    if request.path_params["version"] not in LEGACY:
        raise RouteNotFound("Resource not found")


def _assemble() -> APIRouter:
    router = APIRouter(prefix=ROOT)
    router.include_router(routes_files.signed)
    dated = APIRouter(dependencies=[Depends(_require_api_version)])
    legacy = APIRouter(prefix="/{version}", dependencies=[Depends(_require_known_version)])
    for routes in (routes_models.router, routes_transcriptions.router, routes_files.router, routes_hooks.router):
        dated.include_router(routes)
        legacy.include_router(routes)
    dated.include_router(routes_transcriptions.submitting)
    dated.include_router(routes_fast.router)
    legacy.include_router(routes_transcriptions.creating)
    router.include_router(dated)
    router.include_router(legacy)
    return router


router = _assemble()
