"""Plans: what they are made of, and what the command says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from antiphon.cli.app import app
from antiphon.errors import InvalidValue
from antiphon.planning import (
    Forecast,
    Installation,
    Measured,
    arrival_times,
    forecast,
    load_of,
    ramp,
    read_measured,
    redis_bytes,
    reference,
    size,
)
from antiphon.planning.arrivals import part_at
from antiphon.planning.curves import Curve
from antiphon.planning.errands import lognormal
from antiphon.planning.forecast import alone_s
from antiphon.planning.shapes import sources

pytestmark = pytest.mark.unit


def _points(*points: tuple[int, float, float]) -> list[dict[str, float]]:
    return [dict(zip(("in_flight", "jobs_per_s", "processors"), point, strict=True)) for point in points]


_SHARE = {"processors_per_request": 0.005, "processors_per_session": 0.02, "memory_mib": 80}
MEASURED: dict[str, Any] = {
    "command": "a test",
    "machine": "none",
    "processors": 2,
    "services": {
        "transcribe": {
            "unit": "second of sound", "fixed_s": 0.5, "unit_s": 0.1, "turn_units": 30, "seats": 4, "bulk_apart": True,
            "points": _points((1, 1.0, 1.6), (4, 1.7, 2.0)),
        },
        "synthesize": {
            "unit": "character", "fixed_s": 0.05, "unit_s": 0.002, "turn_units": 200, "first_units": 40, "seats": 1,
            "points": _points((1, 1.0, 1.0)),
        },
        "respond": {
            "unit": "token", "fixed_s": 0.1, "unit_s": 0.05, "seats": 8,
            "points": _points((1, 1.0, 2.0), (8, 1.6, 2.0)),
        },
    },
    "door": _SHARE, "realtime": _SHARE, "server": _SHARE,
    "talk": {"characters_per_token": 4.5, "silence_s": 0.5, "early_s": 0.1},
    "kept": {"files": [{"name": "result", "count": 1, "bytes": 1000, "ttl_s": 86400}]},
    "session_bytes": 50000,
}  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> Measured:
    return Measured.model_validate(MEASURED)


def test_a_ramp_rises_in_steps_and_holds() -> None:
    stages = ramp(ramp_s=30, hold_s=120)
    assert [stage.part for stage in stages] == [0.25, 0.5, 0.75, 1.0]
    assert sum(stage.seconds for stage in stages) == 150
    assert (part_at(stages, 0), part_at(stages, 29), part_at(stages, 31), part_at(stages, 200)) == (
        0.25,
        0.75,
        1.0,
        0.0,
    )
    assert [stage.part for stage in ramp(ramp_s=0, hold_s=5)] == [1.0]


def test_callers_come_as_often_as_asked_for_and_independently() -> None:
    stages = ramp(ramp_s=300, hold_s=2000)
    times = list(arrival_times(Random(4), rate_per_s=2.0, stages=stages))
    assert times == sorted(times)
    assert len([at_s for at_s in times if at_s >= 300]) == pytest.approx(4000, rel=0.05)
    assert len([at_s for at_s in times if at_s < 100]) == pytest.approx(50, abs=25)
    gaps = [later - earlier for earlier, later in pairwise(at_s for at_s in times if at_s >= 300)]
    # Exponential gaps: their standard deviation is their mean, and the share above it is 1/e.
    assert sum(gap > 0.5 for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.03)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), st.integers(0, 40))
def test_a_curve_goes_through_its_points_and_is_flat_behind_them(values: list[float], jobs: int) -> None:
    points = [(2.0**number, value) for number, value in enumerate(values)]
    curve = Curve(points)
    assert [curve.at(int(count)) for count, _ in points] == pytest.approx(values)
    assert 0 <= curve.at(jobs) <= max(values) + 1e-9
    assert curve.at(10**6) == values[-1]


def test_drawn_sizes_have_the_mean_that_was_asked_for() -> None:
    rng = Random(2)
    drawn = [lognormal(rng, mean=30.0, spread=1.0) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(30.0, rel=0.05)
    assert lognormal(rng, mean=30.0, spread=0.0) == 30.0


def test_nobody_else_means_no_wait(measured: Measured) -> None:
    load = load_of({"files": {"per_hour": 2, "lengths_s": [10]}, "chat": {"per_minute": 0.05, "tokens": 40}})
    found = forecast(load, Installation({"transcriber": 1, "synthesizer": 1, "responder": 1}), measured)
    by_kind = {source.kind: source for source in sources(load, measured)}
    for kind in ("files", "chat"):
        forecasted = found.kind(kind)
        assert forecasted is not None and forecasted.whole is not None
        assert forecasted.whole.p50_s == pytest.approx(alone_s(by_kind[kind].draw(Random(1))), rel=0.02)
    chat = found.kind("chat")
    # Heard in 0.5 + 0.4 s, thought for 0.1 + 15 x 0.05, and the first sound of a sentence of 67 characters.
    assert chat is not None and chat.first is not None
    assert chat.first.p50_s == pytest.approx(0.9 + 0.85 + 0.05 + 40 * 0.002, rel=0.02)


def test_a_turn_hides_its_recognition_in_the_silence(measured: Measured) -> None:
    load = load_of({"sessions": {"held": 1, "question_s": 1.0, "pause_s": 60, "tokens": 40}})
    found = forecast(load, Installation({"transcriber": 1, "synthesizer": 1, "responder": 1}), measured)
    turn = found.kind("sessions")
    assert turn is not None and turn.first is not None
    assert turn.first.p50_s == pytest.approx(0.1 + 0.6 + 0.85 + 0.13, rel=0.02)


def test_goals_are_met_with_more_replicas_and_not_with_fewer(measured: Measured) -> None:
    load = load_of({"files": {"per_hour": 4000, "lengths_s": [5, 10], "p95_s": 2.2}})
    sized = size(load, measured)
    replicas = sized.installation.replicas["transcriber"]
    assert replicas >= 2
    assert not sized.out_of_reach

    def p95(count: int) -> float:
        kind = forecast(load, Installation({"transcriber": count}), measured).kind("files")
        assert kind is not None and kind.whole is not None
        return kind.whole.p95_s

    assert p95(replicas) <= 2.2 < p95(replicas - 1)


def test_a_goal_below_the_work_itself_is_out_of_reach(measured: Measured) -> None:
    sized = size(load_of({"files": {"per_hour": 100, "lengths_s": [60], "p95_s": 1.0}}), measured)
    assert [goal.kind for goal in sized.out_of_reach] == ["files"]
    assert sized.installation.replicas["transcriber"] < 5


def test_a_lane_that_cannot_keep_up_says_so(measured: Measured) -> None:
    load = load_of({"files": {"per_hour": 20_000, "lengths_s": [10]}})
    lane = forecast(load, Installation({"transcriber": 1}), measured).lane("transcribe")
    assert lane is not None and lane.falls_behind
    assert lane.utilisation == pytest.approx(1.0, abs=0.02)


@settings(max_examples=5, deadline=None)
@given(per_hour=st.floats(100, 2500), peak=st.floats(1.0, 3.0))
def test_more_load_never_needs_less(per_hour: float, peak: float) -> None:
    measured = Measured.model_validate(MEASURED)
    load = load_of({"files": {"per_hour": per_hour, "lengths_s": [5]}})
    few, many = size(load, measured), size(load.times(peak), measured)
    assert few.installation.replicas["transcriber"] <= many.installation.replicas["transcriber"]


def test_redis_holds_what_comes_until_it_expires(measured: Measured) -> None:
    load = load_of({"files": {"per_hour": 3600, "lengths_s": [10]}, "sessions": {"held": 10}})
    nothing = Forecast((), ())
    parts = redis_bytes(load, measured, nothing, peak=2.0)
    assert parts["what files leave"] == 1000 * 86400
    assert parts["live sessions"] == 2 * 10 * 50_000
    found = forecast(
        load_of({"files": {"per_hour": 3600, "lengths_s": [10]}}), Installation({"transcriber": 4}), measured
    )
    kind = found.kind("files")
    assert kind is not None and kind.whole is not None
    uploads = redis_bytes(load, measured, found, peak=1.0, recordings_in_redis=True)["recordings on their way"]
    assert uploads == pytest.approx(kind.whole.mean_s * 10 * 32_000)


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"files": {"per_hour": -1}}, "load.files.per_hour"),
        ({"files": {}}, "load.files.per_hour"),
        ({"faces": {}}, "load.faces"),
        ({"chat": {"per_minute": 1, "tone": "kind"}}, "load.chat.tone"),
    ],
)
def test_a_wrong_load_is_named(tables: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        load_of(tables)


def test_figures_come_alone_or_in_a_report(tmp_path: Path) -> None:
    alone, report = tmp_path / "measured.json", tmp_path / "report.json"
    alone.write_text(json.dumps(MEASURED))
    report.write_text(json.dumps({"kinds": {}, "measured": MEASURED}))
    assert read_measured(alone) == read_measured(report)
    report.write_text(json.dumps({"kinds": {}, "measured": None}))
    with pytest.raises(InvalidValue, match="ALONE"):
        read_measured(report)


def test_work_that_was_not_measured_is_refused() -> None:
    partly = Measured.model_validate({**MEASURED, "services": {"transcribe": MEASURED["services"]["transcribe"]}})
    with pytest.raises(InvalidValue, match="respond"):
        size(load_of({"chat": {"per_minute": 1}}), partly)


def test_the_reference_covers_every_lane_with_an_engine() -> None:
    assert reference().services.keys() == {"transcribe", "synthesize", "respond"}
    assert reference().kept.keys() >= {"files", "speech", "chat", "jobs"}


def _plan(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["plan", *words])
    return result.exit_code, result.output


def test_the_command_reads_a_file_and_options_override_it(tmp_path: Path) -> None:
    figures, load = tmp_path / "measured.json", tmp_path / "load.toml"
    figures.write_text(json.dumps(MEASURED))
    load.write_text(
        "peak = 2\nprice = 0.5\n[load.files]\nper_hour = 600\nmean_s = 20\np95_s = 30\n[load.speech]\nper_minute = 4\n"
    )
    code, said = _plan(str(load), "-m", str(figures), "--speech-per-minute", "0", "--json")
    assert code == 0, said
    plan = json.loads(said)
    assert [kind["kind"] for kind in plan["kinds"]] == ["files"]
    assert plan["kinds"][0]["per_hour"] == 1200
    assert plan["goals"][0]["met"]
    assert plan["cost"]["an_hour"] == pytest.approx(plan["processors"] * 0.5)
    assert plan["redis_bytes"]["what files leave"] == pytest.approx(600 / 3600 * 1000 * 86400)


def test_the_command_foretells_for_replicas_that_share_a_machine(tmp_path: Path) -> None:
    figures = tmp_path / "measured.json"
    figures.write_text(json.dumps(MEASURED))
    options = ["-m", str(figures), "--files-per-hour", "300", "--chat-per-minute", "2"]
    code, said = _plan(*options, "-r", "transcriber=1,synthesizer=1,responder=1", "--processors", "2")
    assert code == 0, said
    assert "limit:" in said
    assert "2 processor-hours" in said
    assert "cost" not in said


@pytest.mark.parametrize(
    "words", [[], ["--files-per-hour", "1", "--p95", "chat=1"], ["-m", "/nowhere", "--files-per-hour", "1"]]
)
def test_a_plan_for_nothing_is_refused_in_a_line(words: list[str]) -> None:
    code, _ = _plan(*words)
    assert code == 2
