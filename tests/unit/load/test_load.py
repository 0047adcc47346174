"""The parts of the load harness that are functions of values."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.planning import percentile
from tests.bench.clips import Clip
from tests.bench.platform import Door
from tests.load.alone import line_through, rising
from tests.load.callers import Callers, Sounds
from tests.load.drive import Driver
from tests.load.options import Names, Options, parse_load
from tests.load.picture import paint
from tests.load.report import Found, figures, report_of
from tests.load.scrape import Samples, parse
from tests.load.tally import Request, Tally, Unanswered, name_error
from tests.load.text import draw
from tests.load.watch import CLIENT, Moment

pytestmark = pytest.mark.unit


def test_rates_are_read_in_any_unit() -> None:
    assert parse_load("files=2 speech=1/s, jobs=600/h sessions=4") == {
        "files": 2.0,
        "speech": 60.0,
        "chat": 0.0,
        "jobs": 10.0,
        "sessions": 4.0,
    }


@pytest.mark.parametrize(
    "wrong", ["", "files=0", "faces=1", "files", "files=x", "files=-1", "files=1/y", "sessions=1/s"]
)
def test_a_load_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_load(wrong)


def test_times_count_from_when_a_request_was_due() -> None:
    late = Request("files", 10.0, began_s=14.0, first_s=15.0, end_s=16.0, sound_s=4.0)
    found = figures([late], 60.0)
    assert found["seconds"]["p50_s"] == 6.0
    assert found["first_s"]["max_s"] == 5.0
    assert found["real_time_factor"]["p50_s"] == 0.5


def test_errors_are_counted_by_kind_and_refusals_apart() -> None:
    reply = httpx.Response(503, request=httpx.Request("POST", "http://x"))
    refused = name_error(httpx.HTTPStatusError("", request=reply.request, response=reply))
    requests = [
        Request("files", 1.0, end_s=2.0),
        Request("files", 1.0, end_s=2.0, error=refused, refusals=1),
        Request("files", 1.0, end_s=2.0, error=name_error(Unanswered("no sound"))),
        Request("files", 1.0, error="unfinished"),
    ]
    found = figures(requests, 60.0)
    assert (found["offered"], found["done"], found["refused"]) == (4, 1, 1)
    assert found["errors"] == {"no sound": 1, "unfinished": 1}


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=50))
def test_percentiles_are_values_that_enough_do_not_exceed(values: list[float]) -> None:
    for part in (0.5, 0.95, 0.99, 1.0):
        found = percentile(values, part)
        assert found in values
        assert sum(value <= found for value in values) >= part * len(values) - 1e-6
        assert sum(value < found for value in values) < part * len(values)


def test_metrics_of_several_processes_are_added_up_and_subtracted() -> None:
    def said(fast: int, slow: int) -> str:
        return (
            "# TYPE antiphon_job_seconds histogram\n"
            f'antiphon_job_seconds_bucket{{lane="respond",le="1.0"}} {fast}\n'
            f'antiphon_job_seconds_bucket{{lane="respond",le="2.0"}} {fast + slow}\n'
            f'antiphon_job_seconds_bucket{{lane="respond",le="+Inf"}} {fast + slow}\n'
            f'antiphon_job_seconds_count{{lane="respond"}} {fast + slow}\n'
            f'antiphon_job_seconds_sum{{lane="respond"}} {fast * 0.5 + slow * 1.5}\n'
        )

    added = parse([said(9, 2), said(3, 4)]).minus(parse([said(1, 0), said(1, 0)]))
    found = added.histogram("antiphon_job_seconds", "lane")["respond",]
    assert found.count == 16
    assert found.mean_s == pytest.approx((10 * 0.5 + 6 * 1.5) / 16)
    assert found.at(0.5) == pytest.approx(0.8)
    assert found.at(1.0) == pytest.approx(2.0)


@given(fixed_s=st.floats(0, 5), unit_s=st.floats(0.001, 2), short=st.floats(0.5, 5), more=st.floats(1, 60))
def test_two_sizes_give_the_line_through_them(fixed_s: float, unit_s: float, short: float, more: float) -> None:
    long = short + more
    found_fixed_s, found_unit_s = line_through(short, fixed_s + unit_s * short, long, fixed_s + unit_s * long)
    assert found_fixed_s == pytest.approx(fixed_s, abs=1e-6)
    assert found_unit_s == pytest.approx(unit_s, rel=1e-6)


def test_company_that_only_seems_to_slow_is_no_loss() -> None:
    from antiphon.planning.measured import Point

    points = [Point(in_flight=n, jobs_per_s=rate, processors=1.0) for n, rate in ((1, 1.0), (2, 1.8), (4, 1.7))]
    assert [point.jobs_per_s for point in rising(points)] == [1.0, 1.8, 1.8]


def _sounds() -> Sounds:
    clip = Clip(Path("clip.wav"), b"RIFF", np.zeros(16_000, dtype=np.float32))
    return Sounds([clip], [clip])


def _options(tmp_path: Path, **load: float) -> Options:
    all_of_it = dict.fromkeys(("files", "speech", "chat", "sessions", "jobs"), 0.0) | load
    return Options(load=all_of_it, ramp_s=0.0, hold_s=1.0, drain_s=0.3, out=tmp_path, names=Names())


async def _run(options: Options, answer: Any) -> Tally:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://platform/v1") as client:
        callers = Callers(client, Tally(), _sounds(), options.names, come_back=options.come_back)
        await Driver(Door("http://platform/v1", "key"), callers, options).run()
        return callers.tally


async def test_a_platform_that_stalls_does_not_keep_the_next_caller_from_coming(tmp_path: Path) -> None:
    async def stall(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    options = _options(tmp_path, speech=3000)
    calm = await _run(options, lambda _: httpx.Response(200, stream=httpx.ByteStream(b"12")))
    stalled = await _run(options, stall)
    assert [request.due_s for request in stalled.requests] == [request.due_s for request in calm.requests]
    assert len(calm.requests) > 20
    assert all(request.answered for request in calm.requests)
    assert {request.error for request in stalled.requests} == {"unfinished"}


async def test_who_is_refused_comes_back_if_told_to(tmp_path: Path) -> None:
    seen: set[str] = set()

    def full_at_first(request: httpx.Request) -> httpx.Response:
        if len(seen) < 5:
            seen.add(str(len(seen)))
            return httpx.Response(429, headers={"retry-after-ms": "10"})
        return httpx.Response(200, stream=httpx.ByteStream(b"12"))

    options = _options(tmp_path, speech=1200)
    once = figures((await _run(options, full_at_first)).requests, 1.0)
    assert (once["refused"], once["refusals"]) == (5, 5)
    seen.clear()
    patient = Options(**{**vars(options), "come_back": True})
    again = figures((await _run(patient, full_at_first)).requests, 1.0)
    assert (again["refused"], again["refusals"], again["done"]) == (0, 5, again["offered"])


def test_a_report_without_metrics_or_answers_is_still_one(tmp_path: Path) -> None:
    tally = Tally()
    tally.requests = [Request("files", 0.5, began_s=0.5, error="unfinished")]
    report = report_of(
        Found(
            options=_options(tmp_path, files=60, chat=6, sessions=2),
            command="a test",
            machine="none",
            base_url="http://127.0.0.1/v1",
            tally=tally,
            sounds=_sounds(),
            moments=[Moment(0.5, {CLIENT: 0.1}, {}, {})],
            metrics=Samples(),
            ended_s=0.7,
            interrupted=True,
            client_s=0.1,
        )
    )
    assert report["kinds"]["files"]["errors"] == {"unfinished": 1}
    assert json.loads(json.dumps(report)) == report
    assert "interrupted" in draw(report)
    paint(report, tmp_path / "report.png")
