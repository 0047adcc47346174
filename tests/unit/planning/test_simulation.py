"""The simulation gives what queueing theory says, where theory has an answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.planning import Stage, percentile
from antiphon.planning.curves import Curve
from antiphon.planning.engine import Engine, Machine, Speed
from antiphon.planning.errands import Callers, Errand, Step, Talkers
from antiphon.planning.lane import Lane, Task, Worker, most_bulk
from antiphon.planning.simulation import Outcome, Simulation
from antiphon.schemas import Priority
from tests.unit.planning.queues import constant, erlang_c, exponential, run, worker

pytestmark = pytest.mark.unit


def test_one_server_waits_as_theory_says() -> None:
    # M/M/1: the time in the system is exponential with the rate mu - lambda.
    seen = run([worker()], [Callers("files", 0.7, exponential(1.0))], seconds=20_000).kinds["files"]
    assert fmean(seen.whole_s) == pytest.approx(1 / 0.3, rel=0.1)
    assert percentile(seen.whole_s, 0.95) == pytest.approx(-math.log(0.05) / 0.3, rel=0.1)


def test_constant_work_waits_half_as_long() -> None:
    # M/D/1, by Pollaczek and Khinchine.
    outcome = run([worker()], [Callers("files", 0.7, constant(1.0))], seconds=20_000)
    assert fmean(outcome.waits_s["transcribe"]["std"]) == pytest.approx(0.7 / (2 * 0.3), rel=0.1)


@pytest.mark.parametrize("servers", [2, 5])
def test_several_servers_wait_as_erlang_says(servers: int) -> None:
    load = 0.7 * servers
    outcome = run(
        [worker() for _ in range(servers)], [Callers("files", load, exponential(1.0))], seconds=36_000 / servers
    )
    waits = outcome.waits_s["transcribe"]["std"]
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(erlang_c(servers, load), rel=0.1)
    assert fmean(waits) == pytest.approx(erlang_c(servers, load) / (servers - load), rel=0.1)


def test_urgent_jobs_wait_as_cobham_says() -> None:
    # Non-preemptive priorities: W_k = R / ((1 - sigma_{k-1}) (1 - sigma_k)), R = sum(lambda E[S^2]) / 2.
    callers = [Callers("sessions", 0.3, exponential(1.0, "hi")), Callers("files", 0.4, exponential(1.0, "std"))]
    # Of the engine: the lane itself looks at the least urgent first every tenth time.
    seen = run([worker(slots=10_000)], callers, seconds=20_000).kinds
    assert fmean(seen["sessions"].whole_s) - 1 == pytest.approx(0.7 / 0.7, rel=0.1)
    assert fmean(seen["files"].whole_s) - 1 == pytest.approx(0.7 / (0.7 * 0.3), rel=0.15)


def test_an_engine_that_serves_all_at_once_shares_its_time() -> None:
    # M/M/1 with processor sharing: a job of x seconds stays x / (1 - rho), whatever the others are like.
    sharing = Speed(seats=10_000, speed=Curve([(1, 1.0)]), processors=Curve([(1, 1.0)]))

    def draw(rng: Random) -> Errand:
        return Errand((Step("transcribe", (rng.choice((0.2, 1.8)),)),))

    seen = run([worker(sharing, slots=10_000)], [Callers("files", 0.6, draw)], seconds=20_000).kinds["files"]
    assert fmean(seen.whole_s) == pytest.approx(1.0 / 0.4, rel=0.1)


def test_an_engine_gains_from_company_what_was_measured() -> None:
    # Twice as fast with two or more: M/M/1 whose rate is 1 with one job and 2 with more, by its balance equations.
    faster = Speed(seats=10_000, speed=Curve([(1, 1.0), (2, 2.0)]), processors=Curve([(1, 1.0)]))
    rate = 1.2
    chances = [1.0]
    for present in range(1, 400):
        chances.append(chances[-1] * rate / min(present, 2))
    mean_present = sum(n * chance for n, chance in enumerate(chances)) / sum(chances)
    seen = run([worker(faster, slots=10_000)], [Callers("files", rate, exponential(1.0))], seconds=20_000)
    assert fmean(seen.kinds["files"].whole_s) == pytest.approx(mean_present / rate, rel=0.08)


def test_engines_that_want_more_processors_than_there_are_slow_each_other_down() -> None:
    machine: Machine[Task] = Machine(processors=2.0)
    greedy = Speed(seats=1, speed=Curve([(1, 1.0)]), processors=Curve([(1, 2.0)]))
    lanes = {
        "transcribe": Lane([worker(greedy, machine=machine)]),
        "synthesize": Lane([worker(greedy, machine=machine)]),
    }
    errand = Errand((Step("transcribe", (1.0,)), Step("synthesize", (0.5,))))
    outcome = Simulation(lanes, seed=1).run(  # type: ignore[arg-type]
        [Talkers("chat", 1, lambda _: errand, lambda _: 1.0)], stages=[Stage(3.0)]
    )
    # Both at half the pace until the shorter one ends after a second, then half a second's work at the whole pace.
    assert outcome.kinds["chat"].whole_s[0] == pytest.approx(1.5)
    assert outcome.processors["transcribe"] + outcome.processors["synthesize"] <= 2.0


def test_batch_work_gives_way_where_it_is_recognised_apart() -> None:
    machine: Machine[Task] = Machine(processors=1.0)
    speed = Speed(seats=2, speed=Curve([(1, 1.0)]), processors=Curve([(1, 1.0)]))
    engine: Engine[Task] = Engine(speed)
    apart: Engine[Task] = Engine(speed, steps_back=True)
    machine.add(engine)
    machine.add(apart)
    lane = Lane([Worker(16, machine, engine, apart)])
    callers = [Callers("jobs", 0.5, constant(4.0, "bulk"), batch=3), Callers("files", 0.3, constant(1.0))]
    seen = Simulation({"transcribe": lane}, seed=3).run(callers, stages=[Stage(4000)], count_from_s=200)
    alone = run([worker(speed, slots=16)], [Callers("files", 0.3, constant(1.0))], seconds=4000, seed=3)
    assert fmean(seen.kinds["files"].whole_s) == pytest.approx(fmean(alone.kinds["files"].whole_s), rel=0.12)
    assert seen.left["transcribe"] > 0


def test_what_is_spoken_while_it_is_written_is_heard_before_the_writing_ends() -> None:
    errand = Errand(
        (
            Step("respond", (1.0,)),
            Step("respond", (3.0,), goes_on=True),
            Step("synthesize", (0.5,), after=(0,)),
            Step("synthesize", (0.5,), after=(1, 2)),
        ),
        first=2,
    )
    seen = Simulation({"respond": Lane([worker()]), "synthesize": Lane([worker()])}, seed=1).run(
        [Talkers("chat", 1, lambda _: errand, lambda _: 1.0)], stages=[Stage(2.0)]
    )
    assert seen.kinds["chat"].first_s[0] == pytest.approx(1.5)
    assert seen.kinds["chat"].whole_s[0] == pytest.approx(4.5)


def test_a_worker_keeps_slots_for_those_who_wait() -> None:
    assert [most_bulk(slots) for slots in (1, 2, 4, 16, 64)] == [1, 1, 3, 12, 48]
    one = worker(slots=4)
    lane = Lane([one])
    flood = [Callers("jobs", 5.0, constant(10.0, "bulk")), Callers("files", 0.01, constant(0.1))]
    outcome = Simulation({"transcribe": lane}, seed=1).run(flood, stages=[Stage(600.0)])
    # The slot is free at once; the engine is not, as it is one.
    assert max(outcome.waits_s["transcribe"]["std"]) == 0.0
    assert outcome.kinds["files"].unfinished == 0


def test_batch_work_is_not_starved_by_those_who_wait() -> None:
    callers = [Callers("files", 3.0, constant(1.0)), Callers("jobs", 0.02, constant(1.0, "bulk"))]
    outcome = run([worker(slots=1)], callers, seconds=1000)
    assert outcome.kinds["jobs"].whole_s


def test_long_jobs_take_turns_with_short_ones() -> None:
    def long_one(_: Random) -> Errand:
        return Errand((Step("transcribe", (1.0,) * 60),))

    callers = [Callers("jobs", 0.005, long_one), Callers("files", 0.1, constant(1.0))]
    seen = run([worker(slots=16)], callers, seconds=20_000).kinds["files"]
    assert percentile(seen.whole_s, 0.95) < 6.0


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [run([worker()], [Callers("files", 0.7, exponential(1.0))], seconds=500, seed=9) for _ in range(2)]
    assert runs[0].kinds["files"].whole_s == runs[1].kinds["files"].whole_s


def _busy(workers: Callable[[], list[Worker]], rate: float, seed: int, priority: Priority = "std") -> Outcome:
    return run(workers(), [Callers("files", rate, exponential(1.0, priority))], seconds=400, seed=seed)


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 4), rate=st.floats(0.1, 3.0), seed=st.integers(0, 1000))
def test_one_worker_more_never_makes_anybody_wait_longer_on_average(count: int, rate: float, seed: int) -> None:
    few = _busy(lambda: [worker() for _ in range(count)], rate, seed).kinds["files"]
    many = _busy(lambda: [worker() for _ in range(count + 1)], rate, seed).kinds["files"]
    assert many.unfinished <= few.unfinished
    if few.whole_s and not few.unfinished:
        assert fmean(many.whole_s) <= fmean(few.whole_s) * 1.001 + 1e-9


@settings(max_examples=15, deadline=None)
@given(
    rates=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=3),
    slots=st.integers(1, 20),
    seats=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_no_request_is_lost_and_none_is_served_faster_than_alone(
    rates: list[float], slots: int, seats: int, seed: int
) -> None:
    speed = Speed(seats=seats, speed=Curve([(1, 1.0), (4, 1.5)]), processors=Curve([(1, 1.0)]))
    priorities: tuple[Priority, ...] = ("hi", "std", "bulk")
    callers = [
        Callers(str(number), rate, constant(0.5, priorities[number]), batch=number + 1)
        for number, rate in enumerate(rates)
    ]
    outcome = run([worker(speed, slots=slots)], callers, seconds=200, seed=seed)
    for seen in outcome.kinds.values():
        assert 0 <= seen.unfinished <= seen.came
        assert all(seconds >= 0.5 - 1e-6 for seconds in seen.whole_s)
    assert 0 <= outcome.utilisation["transcribe"] <= 1.0 + 1e-9
