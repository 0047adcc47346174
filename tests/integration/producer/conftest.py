"""A producer on a real server, and workers in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from antiphon import Producer
from antiphon.bus import Bus
from antiphon.settings import BusSettings
from tests.integration.bus.conftest import make_settings
from tests.servers import Server


@pytest.fixture
def settings(server: Server) -> BusSettings:
    return make_settings(server)


@pytest_asyncio.fixture
async def bus(settings: BusSettings) -> AsyncIterator[Bus]:
    """Where the workers are."""
    async with Bus.open(settings) as bus:
        yield bus


@pytest_asyncio.fixture
async def producer(settings: BusSettings) -> AsyncIterator[Producer]:
    async with Producer.open(settings) as producer:
        yield producer
