"""What does not fit is dropped from the oldest on, and seldom."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.responder.engines.context import first_kept

pytestmark = pytest.mark.unit

BUDGET = 100
TURNS = st.lists(st.integers(min_value=1, max_value=BUDGET), min_size=1, max_size=60)


@given(sizes=TURNS, data=st.data())
def test_truncation_keeps_the_newest_turns(sizes: list[int], data: st.DataObject) -> None:
    openings = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    first = first_kept(sizes, budget=BUDGET, openings=openings)
    assert 0 <= first < len(sizes)
    assert sum(sizes[first:]) <= BUDGET


@given(sizes=TURNS)
def test_nothing_is_dropped_that_fits(sizes: list[int]) -> None:
    assert first_kept(sizes, budget=sum(sizes), openings=[True] * len(sizes)) == 0


def test_what_is_kept_begins_with_the_user() -> None:
    assert first_kept([60, 10, 30, 30], budget=BUDGET, openings=[True, False, True, False]) == 2


def test_what_is_kept_begins_elsewhere_when_the_newest_turn_has_many_steps() -> None:
    assert first_kept([10, 60, 30, 30], budget=BUDGET, openings=[True, False, False, False]) == 2


def test_the_beginning_stays_where_it_is_for_many_turns() -> None:
    sizes: list[int] = []
    beginnings = []
    for _ in range(200):
        sizes += [3, 5]
        beginnings.append(first_kept(sizes, budget=BUDGET, openings=[True, False] * (len(sizes) // 2)))
    assert beginnings == sorted(beginnings)
    moves = sum(before != after for before, after in itertools.pairwise(beginnings))
    assert moves <= 200 * 8 / (BUDGET / 2)


def test_a_message_that_does_not_fit_alone_is_told() -> None:
    with pytest.raises(ValueError, match="101"):
        first_kept([1, 101], budget=BUDGET, openings=[True, True])
