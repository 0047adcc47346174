"""Liveness and readiness, without keys."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import AntiphonError
from services.ingest.json_answers import json_answer
from services.ingest.platform import Platform, platform_of

_PROBE_TIMEOUT_S = 2.0

router = APIRouter()


@router.get("/healthz")
async def live() -> Response:
    """This process answers."""
    return json_answer({"status": "ok"})


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """The bus can be reached and every kind of work has a worker; says what is missing otherwise."""
    lacking = await _lacking(platform_of(request))
    if lacking:
        return json_answer({"status": "unavailable", "missing": lacking}, status=503)
    return json_answer({"status": "ready"})


async def _lacking(platform: Platform) -> list[str]:
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            await platform.bus.ping()
            lanes = await platform.bus.lanes()
    except (AntiphonError, TimeoutError):
        return ["redis"]
    return [f"{kind} worker" for kind in platform.settings.lanes if kind not in lanes or not lanes[kind].workers]
