"""The restart policy, as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.settings import CANNOT_START
from antiphon.supervisor.restarts import Exit, GiveUp, Restart, RestartPolicy, decide

pytestmark = pytest.mark.unit

POLICY = RestartPolicy()


def delays(count: int) -> list[float]:
    failures, found = 0, []
    for _ in range(count):
        verdict = decide(Exit(1, ran_s=0.1), failures=failures, was_ready=True, policy=POLICY)
        assert isinstance(verdict, Restart)
        failures = verdict.failures
        found.append(verdict.delay_s)
    return found


def test_the_pause_doubles_up_to_its_limit() -> None:
    assert delays(9) == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_steady_run_wipes_out_the_failures_before_it() -> None:
    verdict = decide(Exit(-9, ran_s=POLICY.steady_after_s), failures=50, was_ready=True, policy=POLICY)
    assert verdict == Restart(POLICY.first_delay_s, failures=1)


def test_a_child_that_says_it_cannot_start_ends_the_start() -> None:
    assert decide(Exit(CANNOT_START, 0.1), failures=0, was_ready=False, policy=POLICY) == GiveUp()


def test_once_ready_a_child_that_cannot_start_is_tried_again_seldom() -> None:
    verdict = decide(Exit(CANNOT_START, 0.1), failures=0, was_ready=True, policy=POLICY)
    assert verdict == Restart(POLICY.longest_delay_s, failures=1)


def test_a_child_that_never_comes_up_ends_the_start() -> None:
    last = POLICY.tries_before_ready - 1
    assert isinstance(decide(Exit(1, 0.1), failures=last - 1, was_ready=False, policy=POLICY), Restart)
    assert decide(Exit(1, 0.1), failures=last, was_ready=False, policy=POLICY) == GiveUp()


@given(
    code=st.integers(-64, 255),
    ran_s=st.floats(0, 1e9),
    failures=st.integers(0, 10**9),
)
def test_once_ready_nothing_is_given_up_and_no_pause_is_endless(code: int, ran_s: float, failures: int) -> None:
    verdict = decide(Exit(code, ran_s), failures=failures, was_ready=True, policy=POLICY)
    assert isinstance(verdict, Restart)
    assert 0 < verdict.delay_s <= POLICY.longest_delay_s


@pytest.mark.parametrize(
    ("code", "said"),
    [(3, "ended with exit code 3"), (-9, "was killed by SIGKILL"), (-200, "was killed by signal 200")],
)
def test_an_exit_is_told_in_words(code: int, said: str) -> None:
    assert str(Exit(code, 1.0)) == said
