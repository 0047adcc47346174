"""Liveness and readiness, without keys."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import AntiphonError
from services.ingest.platform import Platform, platform_of

_PROBE_TIMEOUT_S = 2.0

router = APIRouter()


@router.get("/healthz")
async def live() -> Response:
    """This process answers."""
    return _json({"status": "ok"}, 200)


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """The bus can be reached and every kind of work has a worker; says what is missing otherwise."""
    lacking = await _lacking(platform_of(request))
    return _json({"status": "unavailable", "missing": lacking}, 503) if lacking else _json({"status": "ready"}, 200)


async def _lacking(platform: Platform) -> list[str]:
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            await platform.bus.ping()
            lanes = await platform.bus.lanes()
    except (AntiphonError, TimeoutError):
        return ["redis"]
    return [f"{kind} worker" for kind in platform.settings.lanes if kind not in lanes or not lanes[kind].workers]


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")
