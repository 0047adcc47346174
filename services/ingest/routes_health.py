"""Liveness and readiness, without keys."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import AntiphonError
from antiphon.schemas import Kind
from services.ingest.json_answers import json_answer
from services.ingest.leaving import Leaving
from services.ingest.platform import Platform, platform_of

_PROBE_TIMEOUT_S = 2.0

router = APIRouter()


@dataclass
class Readiness:
    """Which kinds of work have been seen to have a worker, by this process."""

    seen: set[Kind] = field(default_factory=set)

    async def lacking(self, platform: Platform) -> list[str]:
        """Return what is missing.

        A worker that was there is missed a minute after it has left: until then the next one may take up its work, and
        requests wait for it. One that was never there is missed at once, whoever worked there before this process.
        """
        bus = platform.bus
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await bus.ping()
                lanes = await bus.lanes()
                missing = []
                for kind in platform.settings.lanes:
                    if kind in lanes and lanes[kind].workers:
                        self.seen.add(kind)
                    elif kind not in self.seen or not await bus.attended(kind):
                        missing.append(f"{kind} worker")
        except (AntiphonError, TimeoutError):
            return ["redis"]
        return missing


@router.get("/healthz")
async def live() -> Response:
    """This process answers."""
    return json_answer({"status": "ok"})


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """The bus can be reached and every kind of work has a worker; says what is missing otherwise, or that it leaves."""
    leaving: Leaving = request.app.state.leaving
    if leaving.asked.is_set():
        return json_answer({"status": "draining"}, status=503)
    readiness: Readiness = request.app.state.readiness
    if lacking := await readiness.lacking(platform_of(request)):
        return json_answer({"status": "unavailable", "missing": lacking}, status=503)
    return json_answer({"status": "ready"})
