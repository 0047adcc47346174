"""Which processes make a platform."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from antiphon.supervisor.plan import ProcessSpec, Stage, metrics_ports, plan_services
from antiphon.supervisor.settings import PlatformSettings

pytestmark = pytest.mark.unit


def plan(environ: dict[str, str] | None = None, **settings: int | timedelta) -> dict[str, ProcessSpec]:
    specs = plan_services(
        PlatformSettings(port=8123, **settings),  # type: ignore[arg-type]
        redis_url="unix:///s",
        api_keys=("one", "two"),
        environ=environ or {},
    )
    return {spec.name: spec for spec in specs}


def test_each_worker_is_a_process_of_its_own() -> None:
    assert list(plan(transcribers=2, translators=0)) == [
        "transcriber-1",
        "transcriber-2",
        "synthesizer",
        "responder",
        "realtime-1",
        "realtime-2",
        "webhooks",
        "ingest",
    ]


def test_only_the_door_learns_the_keys() -> None:
    specs = plan({"ANTIPHON_API_KEYS": "one,two", "ANTIPHON_API_KEY": "one", "OTEL_SERVICE_NAME": "x"})
    assert specs["ingest"].environment["ANTIPHON_API_KEYS"] == "one,two"
    workers = [spec for spec in specs.values() if spec.stage is Stage.WORKERS]
    assert workers
    for spec in workers:
        assert "one" not in str(spec.environment)
        assert spec.environment["OTEL_SERVICE_NAME"] == "x"
        assert spec.environment["REDIS_URL"] == "unix:///s"


def test_each_process_tells_its_metrics_at_a_port_of_its_own() -> None:
    specs = plan(metrics_port=9464, translators=0)
    ports = {name: int(spec.environment["ANTIPHON_METRICS_PORT"]) for name, spec in specs.items()}
    assert ports["ingest"] == 9464
    assert sorted(ports.values()) == list(metrics_ports(PlatformSettings(metrics_port=9464, translators=0)))
    assert {spec.environment["ANTIPHON_METRICS_PORT"] for spec in plan().values()} == {"0"}
    assert not metrics_ports(PlatformSettings())


def test_the_door_waits_only_for_workers_that_are_run() -> None:
    specs = plan(translators=0)
    assert json.loads(specs["ingest"].environment["ANTIPHON_LANES"]) == [
        "transcribe",
        "synthesize",
        "respond",
        "realtime",
    ]


def test_a_platform_without_a_language_model_has_the_rest() -> None:
    specs = plan(responders=0)
    assert list(specs) == ["transcriber", "translator", "synthesizer", "realtime-1", "realtime-2", "webhooks", "ingest"]
    assert "respond" not in json.loads(specs["ingest"].environment["ANTIPHON_LANES"])


def test_a_live_session_has_a_second_worker_to_go_on_with() -> None:
    assert PlatformSettings().workers()["realtime"] == 2
    assert "realtime" not in json.loads(plan(realtimes=0)["ingest"].environment["ANTIPHON_LANES"])


def test_the_door_does_not_wait_for_webhooks() -> None:
    assert "webhook" not in json.loads(plan()["ingest"].environment["ANTIPHON_LANES"])


@pytest.mark.parametrize("worker", ["transcriber", "translator", "synthesizer", "responder", "realtime", "webhooks"])
def test_the_command_line_may_say_how_many_of_each_worker(worker: str) -> None:
    workers = PlatformSettings.from_environment(workers={worker: 3}).workers()
    assert workers == PlatformSettings().workers() | {worker: 3}


def test_a_process_gets_longer_to_end_than_it_takes_itself() -> None:
    specs = plan()
    assert specs["ingest"].grace_s > 30
    assert specs["transcriber"].grace_s > 20


def test_the_door_gets_the_time_that_its_live_sessions_have() -> None:
    specs = plan(drain_delay=timedelta(seconds=5), realtime_grace=timedelta(minutes=2))
    assert specs["ingest"].grace_s > 125


def test_keys_are_read_without_blanks() -> None:
    assert PlatformSettings(api_keys=" a, ,b ,").keys() == ("a", "b")
