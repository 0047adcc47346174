"""When a job is tried again, and how long who is refused should wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.bus.deliveries import Pace
from antiphon.bus.policy import RetryPolicy, most_waiting, wait_told_s

pytestmark = pytest.mark.unit

POLICY = RetryPolicy(max_attempts=5, backoff=timedelta(milliseconds=500), max_backoff=timedelta(seconds=60))


def test_the_wait_doubles_up_to_its_limit() -> None:
    waits = [POLICY.delay_ms(attempt, jitter=0.5) for attempt in range(1, 12)]
    assert waits[:8] == [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000]
    assert set(waits[8:]) == {60000}


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 10_000))
def test_a_wait_is_never_shorter_than_asked_nor_without_bound(
    attempt: int, jitter: float, asked_s: float | None
) -> None:
    delay_ms = POLICY.delay_ms(attempt, jitter=jitter, asked_s=asked_s)
    assert delay_ms >= int(1000 * (asked_s or 0))
    assert 250 <= delay_ms <= max(90_000, 1000 * (asked_s or 0))


def test_the_last_attempt_is_the_last() -> None:
    assert [POLICY.exhausted(attempt) for attempt in (1, 4, 5, 6)] == [False, False, True, True]


@given(st.integers(1, 10**6), st.floats(0, 1000), st.floats(1, 600))
def test_a_line_is_no_longer_than_can_be_worked_off_in_time(limit: int, rate: float, max_wait_s: float) -> None:
    most = most_waiting(limit, rate=rate, max_wait_s=max_wait_s)
    assert 1 <= most <= limit
    assert rate <= 0 or most <= max(8, rate * max_wait_s)


def test_a_schedule_gives_the_pause_after_each_attempt() -> None:
    policy = RetryPolicy(4, timedelta(0), timedelta(0), schedule=(timedelta(seconds=5), timedelta(minutes=5)))
    assert [policy.delay_ms(attempt, jitter=0) for attempt in (1, 2, 3)] == [5_000, 300_000, 300_000]
    assert policy.delay_ms(1, jitter=0.99) < 6_000
    assert policy.delay_ms(1, jitter=0, asked_s=60) == 60_000


def test_an_unknown_wait_is_told_as_a_few_seconds() -> None:
    assert (wait_told_s(-1), wait_told_s(250)) == (5.0, 0.25)


def test_the_pace_counts_busy_time_alone() -> None:
    pace = Pace()
    assert pace.measure(0.0) == 0.0
    pace.begin(10.0)
    pace.end(11.0, idle=False)
    pace.end(12.0, idle=True)
    assert pace.measure(1000.0) == pytest.approx(1.0)
    pace.begin(1000.0)
    assert pace.measure(1004.0) == pytest.approx(1.0), "a job that has not ended says nothing yet"
    pace.end(1008.0, idle=True)
    assert pace.measure(1010.0) == pytest.approx(0.7 + 0.3 / 8)
