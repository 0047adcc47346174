"""docker-compose.yml: valid, closed, durable, and it scales."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from antiphon.server import EmbeddedServer, Program
from antiphon.server.choice import find_bundled
from tests.eventually import eventually
from tests.integration.deploy.composed import (
    BIN,
    FILE,
    KEYS,
    OURS,
    Service,
    compose,
    composed,
    environment_of,
    seconds_of,
)
from tests.integration.deploy.environment import SETTINGS, variables_of
from tests.integration.deploy.manifests import ROOT, SERVICES

pytestmark = pytest.mark.integration

CONF = ROOT / "deploy" / "redis" / "valkey.conf"
MARGIN_S = 5.0
"""Between the end of a service's own time and the end of Docker's patience."""


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return composed("*")


@pytest.fixture(scope="module")
def services(everything: dict[str, Any]) -> dict[str, Service]:
    found: dict[str, Service] = everything["services"]
    return found


def read_settings(name: str, service: Service) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for variable in [each for each in os.environ if each.startswith("ANTIPHON_")]:
            patch.delenv(variable)
        for variable, value in environment_of(service).items():
            patch.setenv(variable, value)
        return SETTINGS[name.removesuffix("-gpu")]()


def mounts(service: Service) -> dict[str, dict[str, Any]]:
    return {mount["target"]: mount for mount in service.get("volumes", ())}


@pytest.mark.parametrize("profile", ["", "observability", "gpu", "tools", "*"])
def test_the_file_is_valid_with_each_profile(profile: str) -> None:
    chosen = ["--profile", profile] if profile else []
    done = compose(*chosen, "config", "--quiet", **KEYS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_file_is_as_the_specification_says_and_tidy() -> None:
    lint = (
        "{extends: default, rules: {line-length: {max: 150}, document-start: disable, braces: {max-spaces-inside: 0}}}"
    )
    for command in (["check-jsonschema", "--builtin-schema", "vendor.compose-spec"], ["yamllint", "-s", "-d", lint]):
        program, *options = command
        done = subprocess.run([BIN / program, *options, FILE], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_without_a_key_nothing_starts_and_the_message_says_how_to_make_one() -> None:
    done = compose("config", "--quiet")
    assert done.returncode != 0
    assert "ANTIPHON_API_KEYS" in done.stderr
    assert ".env" in done.stderr


def test_every_service_of_the_platform_is_composed(services: dict[str, Service]) -> None:
    there = {path.parent.name for path in ROOT.glob("services/*/__main__.py")}
    assert there == set(SERVICES)
    assert there <= set(services)


def test_only_the_door_is_published_and_only_on_this_machine(services: dict[str, Service]) -> None:
    published = {
        name: [(port["host_ip"], port["published"], port["target"]) for port in service["ports"]]
        for name, service in services.items()
        if service.get("ports")
    }
    assert published == {"ingest": [("127.0.0.1", "8000", 8000)], "grafana": [("127.0.0.1", "3000", 3000)]}
    assert "grafana" not in composed()["services"]


def test_the_server_has_no_way_out(everything: dict[str, Any]) -> None:
    assert everything["networks"]["inner"]["internal"]
    outside = {name for name, service in everything["services"].items() if set(service["networks"]) != {"inner"}}
    assert outside == set(OURS) | {"grafana"}


def test_every_container_is_confined(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"cap_add", "privileged", "pid", "ipc", "network_mode"} & set(service), name
        assert service["mem_limit"], name
        assert service["restart"] == ("no" if name in {"weights", "tools"} else "unless-stopped"), name


def test_every_image_is_of_a_known_version(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), name
        assert (name in OURS) == ("build" in service), name


def test_workers_can_be_many(services: dict[str, Service]) -> None:
    for name in set(SERVICES) - {"ingest"}:
        assert not {"container_name", "ports", "hostname"} & set(services[name]), name
        assert all(network is None for network in services[name]["networks"].values()), name


@pytest.mark.parametrize("name", [*SERVICES, "transcriber-gpu", "translator-gpu"])
def test_a_container_is_not_killed_before_its_time_is_over(name: str, services: dict[str, Service]) -> None:
    settings = read_settings(name, services[name])
    if name == "ingest":
        needed = settings.drain_delay + max(settings.grace, settings.realtime.realtime_grace)
    elif name == "realtime":
        needed = settings.session_bus.drain
    else:
        needed = settings.bus.drain
    patience_s = seconds_of(services[name]["stop_grace_period"])
    assert timedelta(seconds=patience_s - MARGIN_S) >= needed


def test_every_variable_is_one_that_a_service_reads(services: dict[str, Service]) -> None:
    known = {variable for settings in SETTINGS.values() for variable in variables_of(settings)}
    for name in (*SERVICES, "transcriber-gpu", "translator-gpu"):
        given = {each for each in environment_of(services[name]) if not each.startswith("OTEL_")}
        assert given <= known, name


@pytest.mark.parametrize("name", SERVICES)
def test_only_the_door_knows_the_keys(name: str, services: dict[str, Service]) -> None:
    assert ("ANTIPHON_API_KEYS" in environment_of(services[name])) == (name == "ingest")


def test_threads_are_set_for_each_worker_and_for_all() -> None:
    all_of_them = composed(ANTIPHON_THREADS="4")["services"]
    one = composed(ANTIPHON_THREADS="4", TRANSCRIBER_THREADS="8")["services"]
    assert read_settings("translator", all_of_them["translator"]).threads == 4
    assert read_settings("transcriber", all_of_them["transcriber"]).threads == 4
    assert read_settings("transcriber", one["transcriber"]).threads == 8
    assert read_settings("synthesizer", one["synthesizer"]).threads == 4


def test_all_who_handle_recordings_share_one_folder(services: dict[str, Service]) -> None:
    for name in (*SERVICES, "transcriber-gpu", "translator-gpu"):
        if name == "webhooks":
            continue
        assert mounts(services[name])["/recordings"]["source"] == "recordings", name
        assert environment_of(services[name])["ANTIPHON_BLOB_URL"] == "file:///recordings"
        # What is fetched may be larger than the folder in memory.
        assert mounts(services[name])["/var/tmp"]["type"] == "volume", name


def test_weights_are_there_before_a_worker_starts_and_no_worker_writes_them(services: dict[str, Service]) -> None:
    for name in ("transcriber", "translator", "synthesizer", "responder", "realtime", "transcriber-gpu"):
        assert services[name]["depends_on"]["weights"]["condition"] == "service_completed_successfully"
        assert mounts(services[name])["/weights"]["read_only"], name
    assert services["weights"]["command"] == ["antiphon", "models", "pull"]
    assert "read_only" not in mounts(services["weights"])["/weights"]


def test_everybody_waits_for_the_server(services: dict[str, Service]) -> None:
    for name in SERVICES:
        assert services[name]["depends_on"]["valkey"]["condition"] == "service_healthy", name
    assert services["valkey"]["healthcheck"]["test"]


def test_each_service_is_asked_whether_it_is_ready(services: dict[str, Service]) -> None:
    for name in SERVICES:
        assert services[name]["healthcheck"]["test"][-2:] == ["antiphon.probe", "readyz"], name


def test_the_profile_turns_traces_on() -> None:
    def endpoint(**environment: str) -> set[str]:
        found = composed(**environment)["services"]
        return {environment_of(found[name])["OTEL_EXPORTER_OTLP_ENDPOINT"] for name in SERVICES}

    assert endpoint() == {""}
    assert endpoint(COMPOSE_PROFILES="observability") == {"http://collector:4318"}
    assert endpoint(OTEL_EXPORTER_OTLP_ENDPOINT="https://traces.example.org") == {"https://traces.example.org"}
    assert endpoint(COMPOSE_PROFILES="gpu", OTEL_EXPORTER_OTLP_ENDPOINT="") == {""}


def test_every_file_that_is_mounted_is_there(everything: dict[str, Any]) -> None:
    sources = [
        mount["source"]
        for service in everything["services"].values()
        for mount in service.get("volumes", ())
        if mount["type"] == "bind"
    ]
    sources += [config["file"] for config in everything["configs"].values()]
    assert len(sources) > 5
    for source in sources:
        assert Path(source).exists(), source


async def test_the_server_starts_with_its_file_and_keeps_what_was_accepted(
    services: dict[str, Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = find_bundled()
    assert program is not None
    _, file, *options = services["valkey"]["command"]
    assert mounts(services["valkey"])[file]["source"] == str(CONF)
    # The path of a socket is at most about a hundred bytes.
    monkeypatch.chdir(tmp_path)
    server = subprocess.Popen(
        [program, CONF, *options, "--port", "0", "--unixsocket", "s"], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    try:
        await eventually((tmp_path / "s").exists, within_s=10)
        with redis.Redis(unix_socket_path="s") as client:
            told: dict[str, str] = client.config_get("*")
    finally:
        server.kill()
        server.wait()
    embedded = EmbeddedServer.prepare(Program(program, (9, 0, 0)), tmp_path / "embedded", max_memory="1gb")
    promised = dict(line.split(" ", 1) for line in embedded.config.read_text().splitlines())
    for name in ("appendonly", "appendfsync", "maxmemory-policy"):
        assert told[name] == promised[name]
    assert told["save"] == ""
    assert told["maxmemory"] == str(2**30)


def test_the_page_names_everything_that_may_be_set() -> None:
    page = (ROOT / "docs" / "deploy-compose.md").read_text()
    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    for name in set(re.findall(r"\$\{(\w+)", "\n".join(lines))):
        assert f"`{name}`" in page, name
