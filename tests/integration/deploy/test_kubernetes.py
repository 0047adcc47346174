"""What `kubectl apply -k` sends: valid for the API server and for the services that read it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from antiphon.bus.servers import connect
from tests.integration.deploy.environment import (
    SECRETS,
    SETTINGS,
    auxiliary,
    bus_of,
    environment_of,
    read_settings,
    variables_of,
)
from tests.integration.deploy.manifests import (
    K8S,
    LABEL,
    OPTIONAL,
    OVERLAYS,
    REDIS,
    ROOT,
    SERVICES,
    Manifest,
    Manifests,
    containers,
    labels_match,
    overlay,
    render,
    sources,
    write_overlay,
)

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent
SCHEMAS = Path(__file__).parent / "schemas"
LINT = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}"


VARIANTS = (*OVERLAYS, *REDIS, *OPTIONAL)
"""Each overlay, each way to run Redis, and each component that may be added."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifests]:
    """What every variant renders to."""
    folder = tmp_path_factory.mktemp("overlays")
    found = {name: overlay(name) for name in OVERLAYS}
    for name in (*REDIS, *OPTIONAL):
        found[name] = render(write_overlay(folder / name, REDIS.get(name, ("redis", name))))
    return found


@pytest.fixture(params=VARIANTS)
def manifests(request: pytest.FixtureRequest, rendered: dict[str, Manifests]) -> Manifests:
    """One variant after the other."""
    return rendered[request.param]


# --- valid for whom they are sent to ----------------------------------------------------------------------------------


def test_the_api_server_takes_every_object(rendered: dict[str, Manifests], tmp_path: Path) -> None:
    known = {path.stem for path in SCHEMAS.iterdir()}
    every = (*rendered.values(), render(K8S / "weights"))
    # Most are the same in all variants.
    different = {json.dumps(each): each for manifests in every for each in manifests.documents}
    core = tmp_path / "core.json"
    core.write_text("\n---\n".join(text for text, each in different.items() if _schema_of(each) not in known))
    # A kind that it does not know is a warning, which is as good as an error here.
    said = _run("kubernetes-validate", "--strict", "--quiet", core)
    assert not said, said
    custom = [each for each in different.values() if _schema_of(each) in known]
    assert {each["kind"] for each in custom} == {"ScaledObject", "TriggerAuthentication", "PodMonitor", "HTTPRoute"}
    for each in custom:
        _check(each)


def test_all_at_once_can_be_rendered(tmp_path: Path) -> None:
    together = [*REDIS["sentinel"], *(each for each in OPTIONAL if each != "redis-elsewhere")]
    rendered = render(write_overlay(tmp_path, together))
    assert set(rendered.of_kind("Deployment")) == {*SERVICES, "tools"}
    assert not rendered.of_kind("PersistentVolumeClaim"), "the images bring the weights"


def test_weights_are_pulled_into_the_volume_that_the_services_read() -> None:
    job = render(K8S / "weights").get("Job", "weights")["spec"]["template"]["spec"]
    (claim,) = [each["persistentVolumeClaim"] for each in job["volumes"] if "persistentVolumeClaim" in each]
    assert claim["claimName"] in overlay("dev").of_kind("PersistentVolumeClaim")
    assert claim.get("readOnly") is not True
    assert job["containers"][0]["command"] == ["antiphon", "models", "pull"]


def test_the_files_read_well() -> None:
    assert not _run("yamllint", "--strict", "-d", LINT, *sources())


def test_every_component_is_rendered_by_a_test() -> None:
    tried = {*OPTIONAL, *chain.from_iterable(REDIS.values())}
    assert {path.name for path in (K8S / "components").iterdir()} == tried
    assert {path.name for path in (K8S / "overlays").iterdir()} == set(OVERLAYS)


# --- consistent in themselves -----------------------------------------------------------------------------------------


def test_selectors_find_what_they_are_for(manifests: Manifests) -> None:
    for name, workload in manifests.of_kind("Deployment", "StatefulSet").items():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert labels_match(workload["spec"]["selector"], labels), name
    pods = manifests.pods()
    for name, service in manifests.of_kind("Service").items():
        selector = {
            key: value for key, value in service["spec"]["selector"].items() if "kubernetes.io/pod-name" not in key
        }
        chosen = [pod for pod in pods.values() if labels_match({"matchLabels": selector}, pod["metadata"]["labels"])]
        assert len(chosen) == 1, name
        named = {port["name"] for each in containers(chosen[0]) for port in each.get("ports", ())}
        numbers = {port["containerPort"] for each in containers(chosen[0]) for port in each.get("ports", ())}
        for port in service["spec"]["ports"]:
            assert port.get("targetPort", port["port"]) in named | numbers, (name, port)
    for name, budget in manifests.of_kind("PodDisruptionBudget").items():
        selector = budget["spec"]["selector"]
        kept = [each for each, pod in pods.items() if labels_match(selector, pod["metadata"]["labels"])]
        assert kept == [name]
        assert budget["spec"]["maxUnavailable"] == 1, "a node with the only replica must be able to be drained"


def test_routes_lead_to_the_door(manifests: Manifests) -> None:
    ports = manifests.get("Service", "ingest")["spec"]["ports"]
    for route in manifests.of_kind("HTTPRoute").values():
        for rule in route["spec"]["rules"]:
            (backend,) = rule["backendRefs"]
            assert (backend["name"], backend["port"]) == ("ingest", ports[0]["port"])
    for ingress in manifests.of_kind("Ingress").values():
        for rule in ingress["spec"]["rules"]:
            (path,) = rule["http"]["paths"]
            assert path["backend"]["service"] == {"name": "ingest", "port": {"name": ports[0]["name"]}}


def test_what_a_pod_mounts_is_there(manifests: Manifests) -> None:
    maps, claims = manifests.of_kind("ConfigMap"), manifests.of_kind("PersistentVolumeClaim")
    for name, pod in manifests.pods().items():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
        own = manifests.of_kind("StatefulSet").get(name, {"spec": {}})["spec"].get("volumeClaimTemplates", ())
        mounted = {mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", ())}
        assert mounted == {*volumes, *(claim["metadata"]["name"] for claim in own)}, name
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, name
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name


def test_each_service_has_all_that_it_needs() -> None:
    prod = overlay("prod")
    assert set(prod.of_kind("Deployment")) == {*SERVICES, "tools"}
    assert set(prod.of_kind("PodDisruptionBudget")) == {*SERVICES, "redis"}
    assert set(prod.of_kind("ScaledObject")) == set(SERVICES)
    for name in SERVICES:
        labels = prod.pods()[name]["metadata"]["labels"]
        assert labels == {f"{LABEL}name": "antiphon", f"{LABEL}component": name}


# --- right for the services -------------------------------------------------------------------------------------------


def test_every_variable_is_read_by_the_service_that_is_given_it(manifests: Manifests) -> None:
    read_by_any = set(chain.from_iterable(variables_of(settings) for settings in SETTINGS.values()))
    for name in SERVICES:
        (container,) = manifests.pods()[name]["spec"]["containers"]
        given = {variable["name"] for variable in container["env"]} - auxiliary(container)
        assert given <= set(variables_of(SETTINGS[name])), name
        for variable in environment_of(manifests, container):
            # The file of settings is the same for all.
            known = (
                variable in read_by_any or variable.startswith(("OTEL_", "AWS_")) or variable in auxiliary(container)
            )
            assert known, (name, variable)


def test_the_services_accept_their_settings(manifests: Manifests) -> None:
    for name in SERVICES:
        settings = read_settings(manifests, name)
        assert connect(bus_of(settings)) is not None
        assert "5ecret" in bus_of(settings).redis_url


def test_a_stopped_process_has_the_time_that_it_takes(manifests: Manifests) -> None:
    for name in SERVICES:
        settings = read_settings(manifests, name)
        allowed_s = manifests.pods()[name]["spec"]["terminationGracePeriodSeconds"]
        if name == "ingest":
            longest_s = max(settings.grace.total_seconds(), settings.realtime.realtime_grace.total_seconds())
            needed_s = settings.drain_delay.total_seconds() + longest_s
            # No session and no request is cut by an update.
            assert settings.realtime.realtime_grace >= settings.realtime.realtime_limit
            assert settings.grace >= settings.request_timeout
        elif name == "realtime":
            needed_s = settings.session_bus.drain.total_seconds()
        else:
            needed_s = settings.bus.drain.total_seconds()
        assert allowed_s >= needed_s + 10, name


def test_probes_ask_where_the_process_answers(manifests: Manifests) -> None:
    for name in SERVICES:
        (container,) = manifests.pods()[name]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        watch = read_settings(manifests, name).watch
        assert ports["metrics"] == watch.metrics_port
        assert watch.metrics_host == "0.0.0.0"
        asked = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert all(get["port"] == "metrics" for get in asked.values())
        assert [get["path"] for get in asked.values()] == ["/readyz", "/readyz", "/healthz"]
        slow = container["livenessProbe"]
        assert slow["periodSeconds"] * slow["failureThreshold"] > watch.stuck_after.total_seconds()
    door = read_settings(manifests, "ingest")
    assert door.host == "0.0.0.0"
    ports = manifests.pods()["ingest"]["spec"]["containers"][0]["ports"]
    assert {"name": "http", "containerPort": door.port} in ports


def test_a_model_has_as_many_threads_as_the_pod_has_processors() -> None:
    for name in ("transcriber", "translator", "synthesizer", "responder"):
        assert read_settings(overlay("prod"), name).threads == 2


def test_an_update_takes_nobody_away_before_the_next_one_is_there() -> None:
    for name in SERVICES:
        each = overlay("prod").get("Deployment", name)
        assert each["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}, name
    cards = {"maxUnavailable": 1, "maxSurge": 0}
    for name in SERVICES:
        each = overlay("gpu").get("Deployment", name)
        limits = each["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert (each["spec"]["strategy"]["rollingUpdate"] == cards) is ("nvidia.com/gpu" in limits), name


def test_images_are_built_by_the_dockerfile_and_have_a_version(
    manifests: Manifests, request: pytest.FixtureRequest
) -> None:
    targets = set(re.findall(r"(?m)^FROM .+ AS (\S+)$", (ROOT / "deploy/docker/Dockerfile").read_text()))
    compose = (ROOT / "docker-compose.yml").read_text()
    named = request.node.callspec.params["manifests"] in OVERLAYS
    for pod in chain(manifests.pods().values(), render(K8S / "weights").pods().values()):
        for container in containers(pod):
            image, _, tag = container["image"].partition(":")
            if image.startswith("antiphon/"):
                assert image.removeprefix("antiphon/") in targets
                assert not named or tag not in {"", "latest"}, image
            else:
                assert f"image: {container['image'].removeprefix('docker.io/')}\n" in compose


def test_pods_have_no_more_rights_than_they_need(manifests: Manifests) -> None:
    user = re.search(r"(?m)^USER (\d+):(\d+)$", (ROOT / "deploy/docker/Dockerfile").read_text())
    assert user is not None
    for name, pod in chain(manifests.pods().items(), render(K8S / "weights").pods().items()):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        if pod["metadata"]["labels"][f"{LABEL}name"] == "antiphon":
            assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (
                int(user[1]),
                int(user[2]),
            )
        assert not any("hostPath" in volume for volume in spec.get("volumes", ()))
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"]
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert (
        manifests.get("Namespace", "antiphon")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )


def test_services_can_write_where_their_images_do(manifests: Manifests) -> None:
    written = re.findall(r"(?:HOME|TMPDIR)=(\S+)", (ROOT / "deploy/docker/Dockerfile").read_text())
    assert sorted(written) == ["/tmp", "/var/tmp"]
    for name in SERVICES:
        spec = manifests.pods()[name]["spec"]
        empty = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
        places = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"] if mount["name"] in empty}
        assert places == set(written), name


def test_no_secret_is_in_the_files(manifests: Manifests) -> None:
    assert not manifests.of_kind("Secret")
    for pod in manifests.pods().values():
        for container in containers(pod):
            for variable in container.get("env", ()):
                if re.search(r"PASSWORD|KEY|SECRET|TOKEN", variable["name"]):
                    assert "secretKeyRef" in variable.get("valueFrom", {}), variable["name"]
    referenced = set(re.findall(r"secretKeyRef:\n\s+key: (\S+)\n\s+name: (\S+)", manifests.text))
    assert referenced
    assert all(key in SECRETS[name] for key, name in referenced)


def test_a_change_of_settings_rolls_the_pods(tmp_path: Path) -> None:
    plain = overlay("dev").pods()["ingest"]["spec"]["containers"][0]["envFrom"]
    traced = render(write_overlay(tmp_path, ["redis", "tracing"])).pods()["ingest"]["spec"]["containers"][0]["envFrom"]
    assert plain != traced


def test_the_alerts_come_along() -> None:
    rules = (ROOT / "deploy/observability/rules/alerts.yml").read_text()
    assert overlay("prod").get("ConfigMap", "antiphon-alerts")["data"] == {"alerts.yml": rules}
    (monitor,) = overlay("prod").of_kind("PodMonitor").values()
    for name in SERVICES:
        pod = overlay("prod").pods()[name]
        assert labels_match(monitor["spec"]["selector"], pod["metadata"]["labels"])
        assert f'job="{pod["metadata"]["labels"][monitor["spec"]["jobLabel"]]}"' in rules
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert all(endpoint["port"] in ports for endpoint in monitor["spec"]["podMetricsEndpoints"])


def _schema_of(document: Manifest) -> str:
    return f"{document['apiVersion'].replace('/', '-')}-{document['kind']}"


def _check(document: Manifest) -> None:
    schema = json.loads((SCHEMAS / f"{_schema_of(document)}.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)


def _run(program: str, *arguments: str | Path) -> str:
    done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, timeout=110, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
