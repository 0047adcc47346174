"""The load harness tells the truth about a platform: what it counts is what the platform has counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.platform import Door
from tests.contract.conftest import Served
from tests.contract.realtime_models import ECHO
from tests.load.__main__ import at
from tests.load.callers import Sounds
from tests.load.options import Names, Options, parse_load
from tests.load.picture import paint
from tests.load.text import draw

pytestmark = [pytest.mark.contract, pytest.mark.timeout(180), pytest.mark.usefixtures("upstream")]

LOAD = "files=40 speech=20 chat=10 sessions=1 jobs=20"


async def test_the_report_of_a_run_is_complete_and_true(platform: Served, tmp_path: Path) -> None:
    options = Options(
        load=parse_load(LOAD),
        ramp_s=1.0,
        hold_s=7.0,
        alone_s=0.0,
        batch=2,
        names=Names(speech="hibari", chat=ECHO, sessions=ECHO),
        out=tmp_path,
    )
    sounds = await Sounds.read(tmp_path / "clips")
    metrics = [f"http://127.0.0.1:{port}/metrics" for port in platform.metrics_ports]
    report = await at(
        Door(platform.base_url, platform.api_key), options, sounds, metrics=metrics, command="a test of the harness"
    )

    kinds = {kind: one["whole_run"] for kind, one in report["kinds"].items()}
    assert kinds.keys() == {"files", "speech", "chat", "sessions", "jobs"}
    for kind, one in kinds.items():
        assert one["offered"] > 0, kind
        assert (one["done"], one["errors"], one["refused"]) == (one["offered"], {}, 0), kind
        assert 0 < one["seconds"]["p50_s"] <= one["seconds"]["p95_s"] <= one["seconds"]["max_s"], kind
    for kind in ("speech", "chat", "sessions"):
        assert kinds[kind]["first_s"]["p50_s"] <= kinds[kind]["seconds"]["p50_s"]
    assert sum(one["offered"] for one in kinds.values()) == len(report["rows"])

    # What was answered is what was served, request by request; and every one of them had its job.
    served = report["requests"]["served"]
    assert report["requests"]["sent"] == {name: served.get(name) for name in report["requests"]["sent"]}
    lanes = report["lanes"]
    heard = sum(kinds[kind]["done"] for kind in ("files", "chat", "sessions", "jobs"))
    assert lanes["transcribe"]["jobs"]["succeeded"] == heard
    assert lanes["transcribe"]["wait_s"]["bulk"]["count"] == kinds["jobs"]["done"]
    assert lanes["respond"]["jobs"]["succeeded"] == kinds["chat"]["done"] + kinds["sessions"]["done"]
    assert lanes["synthesize"]["jobs"]["succeeded"] >= sum(kinds[kind]["done"] for kind in ("speech", "chat"))
    assert report["turns"]["answer"]["count"] == kinds["sessions"]["done"]
    for lane in ("transcribe", "respond", "synthesize"):
        assert lanes[lane]["stages_s"], lane

    said = draw(report)
    assert all(kind in said for kind in kinds)
    paint(report, tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 20_000
    assert platform.api_key not in json.dumps(report)
    assert not any("text" in key for key in report)
