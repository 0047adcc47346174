"""What watches the platform: valid, and it asks for what there is."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from tests.debian_tools import debian_program
from tests.eventually import eventually
from tests.integration.deploy.composed import BIN, composed
from tests.integration.deploy.manifests import ROOT, SERVICES
from tests.integration.deploy.queries import faults_of, known_metrics, read_query
from tests.servers import Server
from tests.workers import worker

pytestmark = pytest.mark.integration

HERE = ROOT / "deploy" / "observability"
DASHBOARDS = sorted((HERE / "grafana" / "dashboards").glob("*.json"))
VARIABLES = {"$__rate_interval": "1m", "$lane": ".*", "$model": ".*"}


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def promtool(*arguments: str | Path) -> None:
    command = [debian_program("prometheus", "usr/bin/promtool"), *arguments]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def rules() -> list[dict[str, Any]]:
    groups = [group for path in HERE.glob("rules/*.yml") for group in read_yaml(path)["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def panels(dashboard: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard.read_text())["panels"]
    return found


def queries(dashboard: Path) -> dict[str, str]:
    """Return the expressions of a dashboard by where they stand, with Grafana's own variables filled in."""
    found: dict[str, str] = {}
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            assert "$" not in expression, panel["title"]
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


@cache
def all_queries() -> dict[str, str]:
    found = {f"{path.stem}: {where}": query for path in DASHBOARDS for where, query in queries(path).items()}
    return found | {f"alert {rule['alert']}": rule["expr"] for rule in rules()}


def test_prometheus_takes_its_configuration_and_rules() -> None:
    promtool("check", "config", "prometheus.yml")


def test_its_files_are_tidy() -> None:
    lint = "{extends: default, rules: {line-length: {max: 150}, document-start: disable}}"
    done = subprocess.run([BIN / "yamllint", "-s", "-d", lint, HERE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")


def test_every_query_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    wrapped = [{"record": f"q{number}", "expr": query} for number, query in enumerate(all_queries().values())]
    assert len(wrapped) > 60
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": wrapped}]}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("where", sorted(all_queries()))
def test_a_query_asks_for_what_is_told(where: str) -> None:
    assert list(faults_of(all_queries()[where])) == []


def test_wrong_queries_are_noticed() -> None:
    assert "antiphon_lane_waiting" in known_metrics()
    for wrong in (
        "antiphon_lane_waitin",
        "rate(antiphon_jobs[5m])",
        'antiphon_jobs_total{lanes="transcribe"}',
        "sum by (colour) (antiphon_lane_oldest_seconds)",
        "histogram_quantile(0.5, rate(antiphon_job_seconds[5m]))",
    ):
        assert list(faults_of(wrong)), wrong
    asked = read_query('sum by (lane) (rate(a_total{x=~"b|c{2}"}[5m] offset 1h)) / on (lane) c > 0.5')
    assert (asked.metrics, asked.grouped) == ({"a_total", "c"}, {"lane"})
    assert asked.matchers == [("a_total", "x", "b|c_2_")]


def test_every_metric_of_the_platform_is_shown_somewhere() -> None:
    shown = {metric for query in all_queries().values() for metric in read_query(query).metrics}
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in known_metrics()}
    missing = families - {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in shown}
    assert missing == set()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == rule["alert"].lower()
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.strip("` ").lower() for heading in headings}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]


def test_every_replica_of_every_service_is_scraped() -> None:
    [job] = read_yaml(HERE / "prometheus.yml")["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert set(found["names"]) == {*SERVICES, "transcriber-gpu", "translator-gpu"}
    assert len(found["names"]) == len(set(found["names"]))
    assert (job["job_name"], found["type"], found["port"]) == ("antiphon", "A", 9464)
    # Each address is found once: Prometheus shares one network with them.
    services = composed("*")["services"]
    assert set(services["prometheus"]["networks"]) == {"inner"}
    for name in found["names"]:
        assert "inner" in services[name]["networks"]


def test_the_collector_uses_all_that_it_configures() -> None:
    config = read_yaml(HERE / "collector.yaml")
    [pipeline] = config["service"]["pipelines"].values()
    for part in ("receivers", "processors", "exporters"):
        assert set(pipeline[part]) == set(config[part])
    assert pipeline["processors"] == ["memory_limiter", "batch"]
    host, _, port = config["exporters"]["otlp/jaeger"]["endpoint"].partition(":")
    assert (host in composed("observability")["services"], port) == (True, "4317")
    assert config["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == "0.0.0.0:4318"


def test_grafana_finds_its_dashboards_and_its_sources() -> None:
    services = composed("observability")["services"]
    mounted = {mount["target"]: mount["source"] for mount in services["grafana"]["volumes"]}
    [provider] = read_yaml(HERE / "grafana/provisioning/dashboards/dashboards.yaml")["providers"]
    assert mounted[provider["options"]["path"]] == str(HERE / "grafana" / "dashboards")
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).parent == Path(provider["options"]["path"])
    assert Path(home).name in {path.name for path in DASHBOARDS}
    sources = read_yaml(HERE / "grafana/provisioning/datasources/datasources.yaml")["datasources"]
    assert {source["url"].split("/")[2].split(":")[0] for source in sources} <= set(services)
    used = set(re.findall(r'"uid": "([a-z]+)"', "".join(path.read_text() for path in DASHBOARDS)))
    assert used <= {source["uid"] for source in sources}


def test_dashboards_are_whole() -> None:
    seen: set[str] = set()
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        assert dashboard["uid"] == f"antiphon-{path.stem}"
        assert dashboard["uid"] not in seen
        seen.add(dashboard["uid"])
        taken: set[tuple[int, int]] = set()
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
    assert len(seen) == 4


@contextmanager
def prometheus(targets: dict[str, int], folder: Path) -> Iterator[str]:
    """Run Prometheus with its configuration, but for where the processes are and how often they are asked."""
    config = read_yaml(HERE / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(HERE / "rules" / "*.yml")]
    [job] = config["scrape_configs"]
    del job["dns_sd_configs"], job["relabel_configs"]
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"service": service}} for service, port in targets.items()
    ]
    file = folder / "prometheus.json"
    file.write_text(json.dumps(config))
    port = free_port()
    program = debian_program("prometheus", "usr/bin/prometheus")
    options = [
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *options], cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("server_program", ["valkey"], indirect=True)
async def test_prometheus_reads_a_running_platform_and_the_dashboards_show_it(server: Server, tmp_path: Path) -> None:
    door, ports = free_port(), {"ingest": free_port(), "webhooks": free_port()}
    told = {name: {"ANTIPHON_METRICS_PORT": str(port)} for name, port in ports.items()}
    door_settings = {"ANTIPHON_PORT": str(door), "ANTIPHON_API_KEYS": "sk-one", "ANTIPHON_LANES": "[]"}
    with (
        worker("webhooks", server, **told["webhooks"]),
        worker("ingest", server, **told["ingest"], **door_settings),
        prometheus(ports, tmp_path) as api,
    ):
        async with httpx.AsyncClient() as client:

            async def ask(query: str) -> list[Any]:
                answer = await client.get(f"{api}/query", params={"query": query})
                assert answer.status_code == 200, answer.text
                found: list[Any] = answer.json()["data"]["result"]
                return found

            async def scraped() -> bool:
                try:
                    return len(await ask('up{job="antiphon"} == 1')) == len(ports)
                except (httpx.TransportError, AssertionError):
                    # It says 503 while it starts.
                    return False

            await eventually(scraped, within_s=60)
            refused = await client.get(f"http://127.0.0.1:{door}/v1/models", headers={"authorization": "Bearer sk-no"})
            assert refused.status_code == 401

            async def shown() -> bool:
                # A rate needs two looks.
                return all([await ask(all_queries()[where]) for where in SHOWN])

            await eventually(shown)
            for query in all_queries().values():
                await ask(query)
            workers = await ask('max by (lane) (antiphon_lane_workers{lane="webhook"})')
            assert [each["value"][1] for each in workers] == ["1"]
            listed = (await client.get(f"{api}/rules")).json()["data"]["groups"]
            broken = [rule for group in listed for rule in group["rules"] if rule["health"] == "err"]
            assert broken == []


SHOWN = (
    "overview: Jobs waiting A",
    "overview: Lanes without a worker A",
    "overview: Dead letters A",
    "overview: Requests a second A",
    "overview: Age of the oldest job waiting A",
    "overview: Workers A",
    "overview: Refusals A",
    "overview: Requests A",
    "overview: Time of a request, p50 and p95 A",
    "overview: Memory of the job store A",
    "overview: Up A",
    "overview: Processors A",
    "overview: Memory A",
    "webhooks: Attempts to deliver A",
    "webhooks: All refusals A",
)
"""Panels that show something even where little happens."""
