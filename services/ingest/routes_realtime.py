"""/realtime: live sessions over WebSockets, and the client secrets that open them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from fastapi import APIRouter, FastAPI, WebSocket
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import InvalidRequest
from services.ingest.access.principal import principal_of
from services.ingest.json_answers import json_answer
from services.ingest.json_body import read_object
from services.ingest.platform import platform_of
from services.ingest.realtime.doorway import Doorway
from services.ingest.realtime.handshake import CallsNotServed

_MAX_BODY_BYTES = 2**20

router = APIRouter(prefix="/realtime")
"""The routes of the API's present form."""
dated_router = APIRouter()
"""Azure's routes with an `api-version`."""


class UpgradeRequired(InvalidRequest):
    """A WebSocket's URL was asked by plain HTTP."""

    http_status = HTTPStatus.UPGRADE_REQUIRED

    def __init__(self) -> None:
        super().__init__(
            "Connect to this URL with a WebSocket. A proxy in between has to pass on the headers of the upgrade."
        )


@router.websocket("")
async def converse(websocket: WebSocket) -> None:
    """Hold a conversation, or listen and write down."""
    await _doorway(websocket).converse(websocket)


@router.websocket("/translations")
async def interpret(websocket: WebSocket) -> None:
    """Interpret from one language into another."""
    await _doorway(websocket).interpret(websocket)


@dated_router.websocket("/realtime")
async def converse_preview(websocket: WebSocket) -> None:
    """Hold a conversation at the URL of Azure's preview."""
    await _doorway(websocket).converse(websocket, preview=True)


@router.get("")
@router.get("/translations")
@dated_router.get("/realtime")
async def explain_upgrade() -> Response:
    """Say what is wrong when the upgrade got lost on its way."""
    raise UpgradeRequired


@router.post("/client_secrets")
@dated_router.post("/realtime/client_secrets")
async def create_client_secret(request: Request) -> Response:
    """Make a client secret for conversations or listening sessions."""
    body = await _body(request)
    return json_answer(await platform_of(request).secret_orders.ga(body, principal=principal_of(request)))


@router.post("/translations/client_secrets")
async def create_translation_secret(request: Request) -> Response:
    """Make a client secret for translation sessions."""
    body = await _body(request)
    return json_answer(
        await platform_of(request).secret_orders.ga(body, principal=principal_of(request), translation=True)
    )


@router.post("/sessions")
@dated_router.post("/realtime/sessions")
@dated_router.post("/realtimeapi/sessions")
async def create_beta_session(request: Request) -> Response:
    """Make a client secret in the shape of the beta."""
    body = await _body(request)
    return json_answer(await platform_of(request).secret_orders.beta(body, principal=principal_of(request)))


@router.post("/transcription_sessions")
@dated_router.post("/realtime/transcription_sessions")
@dated_router.post("/realtimeapi/transcription_sessions")
async def create_beta_transcription_session(request: Request) -> Response:
    """Make a client secret for listening sessions in the shape of the beta."""
    body = await _body(request)
    return json_answer(
        await platform_of(request).secret_orders.beta(body, principal=principal_of(request), transcription=True)
    )


@router.post("/calls")
@router.post("/calls/{call:path}")
@router.post("/translations/calls")
@dated_router.post("/realtime/calls")
@dated_router.post("/realtime/calls/{call:path}")
async def refuse_call() -> Response:
    """Say that there are no calls here."""
    raise CallsNotServed


async def _body(request: Request) -> dict[str, Any]:
    return await read_object(request, limit_bytes=_MAX_BODY_BYTES)


def _doorway(websocket: WebSocket) -> Doorway:
    app = cast("FastAPI", websocket.app)
    return Doorway(platform=app.state.platform, leaving=app.state.leaving)
