"""The small model, loaded once, and once with room for one short conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from services.responder.engines.llama import Llama
from tests.integration.responder.conversations import load


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def small() -> AsyncIterator[Llama]:
    engine = await asyncio.to_thread(load)
    yield engine
    await engine.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def narrow() -> AsyncIterator[Llama]:
    engine = await asyncio.to_thread(load, context_tokens=512, parallel=1)
    yield engine
    await engine.aclose()
