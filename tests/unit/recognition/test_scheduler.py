"""The order of windows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.recognition.scheduler import PATIENCE, Scheduler, Ticket
from antiphon.schemas import PRIORITIES

pytestmark = pytest.mark.unit

tickets = st.builds(
    lambda job, priority, likeness: (job, priority, likeness),
    st.sampled_from("abcdef"),
    st.sampled_from(PRIORITIES),
    st.integers(0, 2),
)


def fill(scheduler: Scheduler, waiting: list[tuple[str, str, int]]) -> list[Ticket]:
    added = [
        Ticket(number=number, job=job, priority=priority, likeness=likeness)  # type: ignore[arg-type]
        for number, (job, priority, likeness) in enumerate(waiting)
    ]
    for ticket in added:
        scheduler.add(ticket)
    return added


def drain(scheduler: Scheduler, *, idle: int = 1, batch: int = 1) -> list[tuple[Ticket, ...]]:
    return list(iter(lambda: scheduler.take(idle=idle, batch=batch), ()))


@given(st.lists(tickets, max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_every_window_is_served_exactly_once(waiting: list[tuple[str, str, int]], idle: int, batch: int) -> None:
    scheduler = Scheduler()
    added = fill(scheduler, waiting)
    served = [ticket for group in drain(scheduler, idle=idle, batch=batch) for ticket in group]
    assert sorted(ticket.number for ticket in served) == [ticket.number for ticket in added]
    assert len(scheduler) == 0


@given(st.lists(tickets, max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_windows_that_share_a_call_are_alike_and_of_one_priority(
    waiting: list[tuple[str, str, int]], idle: int, batch: int
) -> None:
    scheduler = Scheduler()
    fill(scheduler, waiting)
    for group in drain(scheduler, idle=idle, batch=batch):
        assert 1 <= len(group) <= batch
        assert len({(ticket.likeness, ticket.priority) for ticket in group}) == 1


@given(st.lists(tickets, max_size=40))
def test_no_window_goes_before_one_of_a_higher_priority(waiting: list[tuple[str, str, int]]) -> None:
    scheduler = Scheduler()
    fill(scheduler, waiting)
    ranks = [PRIORITIES.index(group[0].priority) for group in drain(scheduler)]
    assert ranks == sorted(ranks)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.just("std"), st.just(0)), max_size=30))
def test_jobs_that_wait_together_are_served_in_turn(waiting: list[tuple[str, str, int]]) -> None:
    scheduler = Scheduler()
    fill(scheduler, waiting)
    order = [group[0].job for group in drain(scheduler)]
    left = {job: sum(1 for name, _, _ in waiting if name == job) for job in "abc"}
    served = dict.fromkeys("abc", 0)
    for job in order[: PATIENCE - 1]:
        others = [served[name] for name in "abc" if left[name]]
        assert served[job] == min(others)
        served[job] += 1
        left[job] -= 1


@given(st.lists(tickets, max_size=20), st.sets(st.integers(0, 19)))
def test_windows_of_a_cancelled_job_are_not_served(waiting: list[tuple[str, str, int]], dropped: set[int]) -> None:
    scheduler = Scheduler()
    for ticket in fill(scheduler, waiting):
        if ticket.number in dropped:
            scheduler.drop(ticket)
    served = {ticket.number for group in drain(scheduler) for ticket in group}
    assert served == set(range(len(waiting))) - dropped


def test_a_job_that_arrives_waits_for_no_long_job_before_it() -> None:
    scheduler = Scheduler()
    numbers = itertools.count()
    for _ in range(3):  # five long jobs, each with its next window waiting
        for job in "abcde":
            scheduler.add(Ticket(number=next(numbers), job=job))
        for _ in "abcde":
            scheduler.take(idle=1, batch=1)
    for job in "abcde":
        scheduler.add(Ticket(number=next(numbers), job=job))
    scheduler.add(Ticket(number=next(numbers), job="short"))
    assert scheduler.take(idle=1, batch=1)[0].job == "short"


def test_a_stream_of_short_jobs_does_not_starve_a_long_one() -> None:
    scheduler = Scheduler()
    for number in range(3):
        scheduler.add(Ticket(number=number, job="long"))
        scheduler.take(idle=1, batch=1)
    scheduler.add(Ticket(number=10, job="long"))
    served = []
    for number in range(11, 11 + 2 * PATIENCE):
        scheduler.add(Ticket(number=number, job=f"short-{number}"))
        served.append(scheduler.take(idle=1, batch=1)[0].job)
    assert served.index("long") == PATIENCE


def test_windows_run_side_by_side_before_they_share_a_call() -> None:
    scheduler = Scheduler()
    fill(scheduler, [(job, "std", 0) for job in "abc"])
    sizes = [len(scheduler.take(idle=idle, batch=2)) for idle in (2, 1)]
    assert sizes == [2, 1]
    fill(scheduler, [(job, "std", 0) for job in "ab"])
    assert [len(scheduler.take(idle=idle, batch=2)) for idle in (2, 1)] == [1, 1]
