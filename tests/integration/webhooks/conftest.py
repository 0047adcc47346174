"""A bus on a real server, a worker whose jobs end as told, and the webhook service in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from antiphon.bus import Bus, Caller, Work
from antiphon.egress import EgressRules
from antiphon.errors import InvalidAudio
from antiphon.schemas import BlobRef, TranscribeJob, Transcript
from antiphon.settings import BusSettings, EgressSettings
from antiphon.telemetry.health import Health
from antiphon.webhooks import Deliveries, Endpoints
from services.webhooks.app import build
from services.webhooks.settings import WebhookSettings
from tests.servers import Server, programs

LOOPBACK = EgressSettings(egress_allow=("127.0.0.0/8",))


@pytest.fixture(scope="session")
def server_program() -> Path:
    """One program: what the others do differently concerns the bus alone."""
    return programs()["valkey"]


def settings_for(server: Server, **changed: Any) -> WebhookSettings:
    """Return settings whose times suit a test."""
    quick: dict[str, Any] = {
        "bus": BusSettings(redis_url=server.url, lease=timedelta(seconds=2), drain=timedelta(seconds=1)),
        "egress": LOOPBACK,
        "webhook_schedule": (timedelta(milliseconds=20),) * 20,
        "webhook_timeout": timedelta(seconds=1),
        "webhook_failures": 100,
    }
    return WebhookSettings(**(quick | changed))


def make_job(**fields: Any) -> TranscribeJob:
    return TranscribeJob(audio=BlobRef(uri="redis:none"), model="whisper-1", tenant="t", **fields)


async def transcribe(job: TranscribeJob, work: Work) -> Transcript:
    """Hear what the job's metadata says."""
    if "fail" in job.metadata:
        raise InvalidAudio("It is not audio.", param="file")
    return Transcript(task="transcribe", language="en", duration=1.5, text=job.metadata.get("text", "Hello."))


@asynccontextmanager
async def sending(settings: WebhookSettings) -> AsyncIterator[None]:
    """Run the webhook service."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(build(settings).serve(stop, Health(stop)))
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
def settings(server: Server) -> WebhookSettings:
    return settings_for(server)


@pytest_asyncio.fixture
async def bus(settings: WebhookSettings) -> AsyncIterator[Bus]:
    async with Bus.open(settings.bus) as bus, bus.serve("transcribe", TranscribeJob, transcribe, concurrency=8):
        yield bus


@pytest_asyncio.fixture
async def caller(bus: Bus) -> AsyncIterator[Caller]:
    async with bus.caller() as caller:
        yield caller


@pytest.fixture
def endpoints(bus: Bus) -> Endpoints:
    return Endpoints(bus, check_url=EgressRules.of(LOOPBACK).check_url)


@pytest.fixture
def deliveries(bus: Bus, caller: Caller) -> Deliveries:
    return Deliveries(bus, caller)
