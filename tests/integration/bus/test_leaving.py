"""A worker or caller that leaves is gone: no loop of it goes on, however early it leaves."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.bus import Bus
from antiphon.settings import BusSettings
from tests.integration.bus.conftest import Handler, make_job, serve

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01])
async def test_a_worker_that_leaves_early_leaves_no_loop_behind(settings: BusSettings, after_s: float) -> None:
    before = asyncio.all_tasks()
    for _ in range(10):
        async with Bus.open(settings) as bus, serve(bus, Handler()):
            await asyncio.sleep(after_s)
    assert asyncio.all_tasks() == before


async def test_a_caller_that_leaves_with_its_last_answer_leaves_no_loop_behind(settings: BusSettings) -> None:
    before = asyncio.all_tasks()
    async with Bus.open(settings) as bus, serve(bus, Handler()):
        working = asyncio.all_tasks()
        for _ in range(10):
            async with bus.caller() as caller:
                call = await caller.submit(make_job())
                await asyncio.wait_for(call.outcome(), 10)
            assert asyncio.all_tasks() == working
    assert asyncio.all_tasks() == before
