"""A loop that should turn and does not is named; one that may rest is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from antiphon.telemetry.health import Health

pytestmark = pytest.mark.unit


def test_a_loop_that_has_not_begun_is_not_missed() -> None:
    health = Health(stuck_s=0.0)
    health.loop("reads")
    time.sleep(0.001)
    assert health.stuck() == []


def test_a_loop_that_stands_still_is_named() -> None:
    health = Health(stuck_s=0.0)
    standing, turning = health.loop("reads"), health.loop("renews", pause_s=60)
    standing.turn()
    turning.turn()
    time.sleep(0.001)
    assert health.stuck() == ["reads"]
    standing.turn()
    standing.rest()
    time.sleep(0.001)
    assert health.stuck() == []


def test_the_order_to_stop_is_the_beginning_of_draining() -> None:
    stop = asyncio.Event()
    health = Health(stop)
    assert not health.draining
    stop.set()
    assert health.draining
