"""When a receiver is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.webhooks import Breaker, Circuit

pytestmark = pytest.mark.unit

BREAKER = Breaker(failures=3, open_ms=1_000, max_open_ms=5_000)


def fail(circuit: Circuit, *times_ms: int) -> Circuit:
    for now_ms in times_ms:
        circuit = circuit.failed(now_ms, BREAKER)
    return circuit


def test_a_few_failures_leave_it_closed() -> None:
    assert fail(Circuit(), 1, 2).state(3, BREAKER) == "closed"


def test_it_opens_after_some_failures_and_lets_one_try_when_its_time_is_over() -> None:
    circuit = fail(Circuit(), 1, 2, 3)
    assert circuit.state(1_002, BREAKER) == "open"
    assert circuit.state(1_003, BREAKER) == "half-open"


def test_it_opens_for_longer_each_time_up_to_a_limit() -> None:
    circuit, now_ms, pauses = fail(Circuit(), 1, 2), 3, []
    for _ in range(6):
        circuit = circuit.failed(now_ms, BREAKER)
        pauses.append(circuit.open_until_ms - now_ms)
        now_ms = circuit.open_until_ms
    assert pauses == [1_000, 2_000, 4_000, 5_000, 5_000, 5_000]


def test_failures_that_were_under_way_when_it_opened_do_not_lengthen_it() -> None:
    opened = fail(Circuit(), 1, 2, 3)
    assert fail(opened, 4, 5, 6).open_until_ms == opened.open_until_ms


def test_a_pause_that_is_asked_for_holds_for_all_deliveries_within_the_limit() -> None:
    circuit = Circuit().failed(1_000, BREAKER, asked_s=2.0)
    assert circuit.state(2_999, BREAKER) == "open"
    assert circuit.state(3_000, BREAKER) == "closed"
    assert Circuit().failed(0, BREAKER, asked_s=86_400).open_until_ms == BREAKER.max_open_ms


@given(st.lists(st.integers(min_value=0, max_value=int(timedelta(days=5).total_seconds() * 1000)), min_size=1))
def test_it_remembers_when_the_failures_began_and_never_waits_longer_than_allowed(times_ms: list[int]) -> None:
    times_ms.sort()
    circuit = Circuit()
    for now_ms in times_ms:
        circuit = circuit.failed(now_ms, BREAKER)
        assert circuit.open_until_ms <= now_ms + BREAKER.max_open_ms
    assert circuit.failing_since_ms == times_ms[0]
    assert circuit.failures == len(times_ms)
