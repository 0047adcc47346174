"""A bus on a real server, with short leases, and workers in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from antiphon.bus import Bus, Work
from antiphon.schemas import BlobRef, Job, Outcome, Schema, TranscribeJob
from antiphon.settings import BusSettings
from tests.servers import Server

STD = "jobs:{transcribe}:std"
GROUP = "workers"


class Done(Schema):
    """A result."""

    text: str = "done"


def make_job(**fields: Any) -> TranscribeJob:
    return TranscribeJob(audio=BlobRef(uri="redis:none"), model="whisper-1", **fields)


def make_settings(server: Server, **changed: Any) -> BusSettings:
    """Return settings whose times suit a test: everything that takes half a minute takes a second or two."""
    quick: dict[str, Any] = {
        "redis_url": server.url,
        "lease": timedelta(seconds=2),
        "drain": timedelta(seconds=10),
        "backoff": timedelta(milliseconds=20),
        "max_attempts": 3,
    }
    return BusSettings(**(quick | changed))


class Handler:
    """Counts what it is given; works as it is told."""

    def __init__(self, *, work_s: float = 0.0, error: Exception | None = None, hold: bool = False) -> None:
        self.work_s = work_s
        self.error = error
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.attempts: list[int] = []
        self.release = asyncio.Event()
        if not hold:
            self.release.set()

    async def __call__(self, job: Job, work: Work) -> Done:
        self.begun.append(job.id)
        self.attempts.append(work.attempt)
        await self.release.wait()
        await asyncio.sleep(self.work_s)
        if self.error is not None:
            raise self.error
        self.ended.append(job.id)
        return Done()


Serve = Callable[..., AbstractAsyncContextManager[Any]]


def serve(bus: Bus, handler: Any, *, concurrency: int = 4) -> AbstractAsyncContextManager[Any]:
    """Work on the lane `transcribe` in this process."""
    return bus.serve("transcribe", TranscribeJob, handler, concurrency=concurrency)


def result_of(server: Server, job_id: str) -> Outcome | None:
    found = server.do("GET", f"result:{{transcribe}}:{job_id}")
    return None if found is None else Outcome.model_validate_json(found)


def pending(server: Server, stream: str = STD) -> int:
    groups = server.describe("XINFO", "GROUPS", stream)
    return int(groups[0]["pending"])


def lag(server: Server, stream: str = STD) -> int | None:
    found: int | None = server.describe("XINFO", "GROUPS", stream)[0]["lag"]
    return found


@pytest.fixture
def settings(server: Server) -> BusSettings:
    return make_settings(server)


@pytest_asyncio.fixture
async def bus(settings: BusSettings) -> AsyncIterator[Bus]:
    async with Bus.open(settings) as bus:
        yield bus
