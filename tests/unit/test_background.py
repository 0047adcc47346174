"""Threads that give way."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from antiphon.background import step_back

pytestmark = [pytest.mark.unit, pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")]


def _standing() -> tuple[int, int]:
    """Return the nice value and the policy of the thread that asks."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), os.sched_getscheduler(0)


def test_a_thread_that_steps_back_takes_those_along_that_it_starts() -> None:
    def start_another() -> tuple[int, int]:
        with ThreadPoolExecutor(1) as inner:
            return inner.submit(_standing).result()

    with ThreadPoolExecutor(1, initializer=step_back) as thread:
        assert thread.submit(_standing).result() == (19, os.SCHED_IDLE)
        assert thread.submit(start_another).result() == (19, os.SCHED_IDLE)


def test_no_other_thread_steps_back_with_it() -> None:
    before = _standing()
    with ThreadPoolExecutor(1, initializer=step_back) as thread:
        thread.submit(_standing).result()
    assert _standing() == before
