"""Wiring: middleware, routes and error shapes around one platform."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from antiphon.errors import AntiphonError, InvalidRequest, ModelForbidden
from antiphon.models import Catalogue
from antiphon.stopping import StopRequest
from antiphon.telemetry.health import Health
from antiphon.telemetry.instruments import LIMITED
from services.ingest import (
    routes_audio,
    routes_chat,
    routes_completions,
    routes_health,
    routes_jobs,
    routes_models,
    routes_realtime,
    routes_speech,
    routes_webhooks,
)
from services.ingest.access.authentication import Authentication
from services.ingest.access.doorkeeper import Doorkeeper, require_somebody
from services.ingest.access.keyring import Keyring
from services.ingest.access.limiting import Limiting
from services.ingest.body import BodyGuard
from services.ingest.envelope import Envelope
from services.ingest.errors import MethodNotAllowed, RouteNotFound, error_response
from services.ingest.lane_state import LaneState
from services.ingest.leaving import Leaving
from services.ingest.platform import Platform, open_platform
from services.ingest.server import listen, serve_http
from services.ingest.settings import IngestSettings
from services.ingest.surface import is_api_version, surface_of


@dataclass(frozen=True)
class Ingest:
    """The process of the public door."""

    settings: IngestSettings
    name: str = "ingest"

    async def serve(self, stop: StopRequest, health: Health) -> None:
        """Serve until `stop` is set. Raises `InvalidValue` for unusable settings, `Unavailable` for a port in use."""
        catalogue = Catalogue.load(self.settings.models_file)
        keyring = Keyring.parse(self.settings.api_keys.get_secret_value())
        async with open_platform(self.settings, catalogue, health=health) as platform:
            await require_somebody(keyring, platform.keys, platform.tokens)
            leaving = Leaving(stop)
            app = assemble(platform, keyring, leaving=leaving)
            listener = listen(self.settings)
            health.before_metrics.append(LaneState(platform.bus).refresh)
            health.ready = True
            await serve_http(app, self.settings, listener=listener, leaving=leaving)


def build(settings: IngestSettings) -> Ingest:
    """Return the process of the public door."""
    return Ingest(settings)


def assemble(platform: Platform, keyring: Keyring, *, leaving: Leaving | None = None) -> FastAPI:
    """Return the application around an open platform. `leaving` tells it how far the process has closed."""
    # Its own spans and logs would tell URLs with their queries, and exceptions with their words.
    app = FastAPI(
        openapi_url=None, redirect_slashes=False, telemetry={"tracing": False, "metrics": False, "logs": False}
    )
    app.state.platform = platform
    app.state.leaving = leaving or Leaving()
    app.state.readiness = routes_health.Readiness()
    app.include_router(routes_health.router)
    for prefix in ("/v1", "/openai/v1"):
        app.include_router(routes_audio.router, prefix=prefix)
        app.include_router(routes_chat.router, prefix=prefix)
        app.include_router(routes_completions.router, prefix=prefix)
        app.include_router(routes_jobs.router, prefix=prefix)
        app.include_router(routes_models.router, prefix=prefix)
        app.include_router(routes_realtime.router, prefix=prefix)
    for prefix in ("/v1", "/openai/v1", "/openai/v1/dashboard"):
        app.include_router(routes_webhooks.router, prefix=prefix)
    app.include_router(routes_speech.router)
    app.include_router(_dated(), prefix="/openai", dependencies=[Depends(_require_api_version)])
    app.add_api_websocket_route("/{path:path}", _refuse_socket)
    app.add_exception_handler(AntiphonError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    # The last one added is the outermost.
    app.add_middleware(Limiting, limiter=platform.limiter)
    app.add_middleware(
        Authentication,
        doorkeeper=Doorkeeper(keyring, platform.known_keys, platform.tokens, find_secret=platform.client_secrets.find),
    )
    app.add_middleware(
        BodyGuard,
        limit_bytes=platform.settings.max_upload_bytes,
        limits_bytes={
            routes_chat.PATH: platform.settings.chat.chat_body_bytes,
            routes_speech.FAST_PATH: platform.settings.speech.speech_upload_bytes,
        },
    )
    app.add_middleware(Envelope, path_prefix=platform.settings.path_prefix)
    return app


def _dated() -> APIRouter:
    router = APIRouter()
    # A percent-encoded name may hold a slash, which is decoded before routes are matched.
    router.include_router(routes_audio.router, prefix="/deployments/{deployment:path}")
    router.include_router(routes_chat.router, prefix="/deployments/{deployment:path}")
    router.include_router(routes_models.router)
    router.include_router(routes_realtime.dated_router)
    return router


async def _require_api_version(connection: HTTPConnection) -> None:
    if not is_api_version(connection.query_params.get("api-version")):
        raise RouteNotFound("Resource not found")


async def _refuse_socket(websocket: WebSocket) -> None:
    raise RouteNotFound(f"Invalid URL (WebSocket {websocket.scope['path']})")


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AntiphonError)  # noqa: S101
    if isinstance(error, ModelForbidden):
        LIMITED.labels("model").inc()
    return error_response(error, surface_of(request.scope["path"]))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    target = f"({request.method} {request.scope['path']})"
    known: AntiphonError
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        known = MethodNotAllowed(f"Invalid method for URL {target}")
    elif error.status_code == HTTPStatus.NOT_FOUND:
        known = RouteNotFound(f"Invalid URL {target}")
    else:
        known = InvalidRequest(str(error.detail))
    response = error_response(known, surface_of(request.scope["path"]))
    response.headers.update(error.headers or {})
    return response


async def _on_validation_error(request: Request, error: Exception) -> Response:
    return error_response(InvalidRequest(str(error)), surface_of(request.scope["path"]))
