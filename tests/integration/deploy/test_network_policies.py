"""Everybody reaches what they need, and nothing else."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from antiphon.egress.addresses import _PRIVATE_V4, _PRIVATE_V6
from tests.integration.deploy.manifests import K8S, LABEL, REDIS, SERVICES, Manifest, render, write_overlay
from tests.integration.deploy.reachability import Host, Peer, Pod, reaches, service

pytestmark = pytest.mark.integration

WORLD = Host("93.184.216.34")
WORLD_6 = Host("2606:2800:220:1::1")
PRIVATE = (
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.20.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "::1",
    "::ffff:10.0.0.1",
    "fd00:ec2::254",
    "fe80::1",
    "64:ff9b::a00:1",
    "2002:a00:1::1",
)
REDIS_POD = Pod({f"{LABEL}name": "redis"})
DNS = Pod({"k8s-app": "kube-dns"}, "kube-system")
PROMETHEUS = Pod({"app": "prometheus"}, "monitoring")
KEDA = Pod({"app": "keda-operator"}, "keda")
STRANGER = Pod({"app": "stranger"}, "elsewhere")
STRANGER_WITHIN = Pod({"app": "stranger"})
ASKS_STRANGERS = {"transcriber", "translator", "responder", "realtime", "webhooks"}


@pytest.fixture(scope="module", params=sorted(REDIS))
def policies(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The policies of each way to run Redis."""
    return _policies(tmp_path_factory.mktemp("overlay"), *REDIS[request.param])


def test_the_door_is_open_to_all_and_nothing_else_is(policies: list[Manifest]) -> None:
    peers: tuple[Peer, ...] = (WORLD, STRANGER)
    for peer in peers:
        assert reaches(policies, peer, service("ingest"), 8000)
        for name, port in product(SERVICES, (8000, 9464, 22)):
            if (name, port) != ("ingest", 8000):
                assert not reaches(policies, peer, service(name), port), (name, port)
        for port in (6379, 16379, 26379):
            assert not reaches(policies, peer, REDIS_POD, port)


def test_services_meet_at_the_bus_alone(policies: list[Manifest]) -> None:
    for name in (*SERVICES, "tools"):
        assert reaches(policies, service(name), REDIS_POD, 6379), name
        assert reaches(policies, service(name), DNS, 53, "UDP")
        assert reaches(policies, service(name), DNS, 53)
    for one, other, port in product(SERVICES, SERVICES, (8000, 9464)):
        assert not reaches(policies, service(one), service(other), port), (one, other, port)
    assert reaches(policies, service("tools"), service("ingest"), 8000)
    assert not reaches(policies, STRANGER_WITHIN, REDIS_POD, 6379)
    assert not reaches(policies, service("ingest"), REDIS_POD, 22)


def test_only_those_that_ask_strangers_reach_the_world(policies: list[Manifest]) -> None:
    for name in (*SERVICES, "tools"):
        for port in (443, 8443):
            assert reaches(policies, service(name), WORLD, port) is (name in ASKS_STRANGERS), (name, port)
            assert reaches(policies, service(name), WORLD_6, port) is (name in ASKS_STRANGERS), (name, port)
        for port in (22, 25, 80, 6379):
            assert not reaches(policies, service(name), WORLD, port), (name, port)


def test_nobody_reaches_private_addresses(policies: list[Manifest]) -> None:
    for name, address, port in product((*SERVICES, "tools", "weights"), PRIVATE, (80, 443, 8443)):
        assert not reaches(policies, service(name), Host(address), port), (name, address, port)
    for peer in (WORLD, Host("10.1.2.3")):
        assert not reaches(policies, REDIS_POD, peer, 443)


def test_metrics_are_for_prometheus(policies: list[Manifest]) -> None:
    for name in SERVICES:
        assert reaches(policies, PROMETHEUS, service(name), 9464), name
        assert not reaches(policies, KEDA, service(name), 9464)
    assert not reaches(policies, PROMETHEUS, REDIS_POD, 6379)


def test_keda_may_ask_redis(policies: list[Manifest]) -> None:
    assert reaches(policies, KEDA, REDIS_POD, 6379)
    assert not reaches(policies, KEDA, service("ingest"), 9464)


def test_policies_call_public_what_the_egress_rules_do(tmp_path: Path) -> None:
    for policy in _policies(tmp_path, "redis", "oidc", "blobs-s3"):
        for rule in policy["spec"].get("egress", ()):
            blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
            assert not blocks or [set(block["except"]) for block in blocks] == [
                {str(network) for network in _PRIVATE_V4},
                {str(network) for network in _PRIVATE_V6},
            ], policy["metadata"]["name"]


def test_sentinels_and_nodes_of_a_cluster_reach_each_other(tmp_path: Path) -> None:
    creator = Pod({f"{LABEL}name": "redis-create"})
    for name, ports in (("sentinel", (6379, 26379)), ("cluster", (6379, 16379))):
        found = _policies(tmp_path / name, *REDIS[name])
        for port in ports:
            assert reaches(found, REDIS_POD, REDIS_POD, port), (name, port)
    assert reaches(found, creator, REDIS_POD, 6379)
    assert reaches(_policies(tmp_path / "watched", *REDIS["sentinel"]), KEDA, REDIS_POD, 26379)
    assert reaches(_policies(tmp_path / "asked", *REDIS["sentinel"]), service("ingest"), REDIS_POD, 26379)


def test_weights_are_fetched_from_the_world(tmp_path: Path) -> None:
    labels = render(K8S / "weights").pods()["weights"]["metadata"]["labels"]
    policies = _policies(tmp_path, "redis")
    assert reaches(policies, Pod(labels), WORLD, 443)


def test_components_open_what_they_are_for(tmp_path: Path) -> None:
    plain = _policies(tmp_path / "plain", "redis")
    traced = _policies(tmp_path / "traced", "redis", "tracing")
    collector = Pod({"app": "otel-collector"}, "monitoring")
    for name in SERVICES:
        assert not reaches(plain, service(name), collector, 4318)
        assert reaches(traced, service(name), collector, 4318)
    stored = _policies(tmp_path / "stored", "redis", "blobs-s3")
    assert not reaches(plain, service("synthesizer"), WORLD, 443)
    for name in SERVICES:
        assert reaches(stored, service(name), WORLD, 443)
    known = _policies(tmp_path / "known", "redis", "oidc")
    assert reaches(known, service("ingest"), WORLD, 443)
    assert not reaches(known, service("ingest"), Host("169.254.169.254"), 443)
    elsewhere = _policies(tmp_path / "elsewhere", "redis-elsewhere")
    assert reaches(elsewhere, service("ingest"), Host("10.1.2.3"), 6379)
    assert not reaches(elsewhere, service("ingest"), Host("10.1.2.3"), 443)


def _policies(folder: Path, *components: str) -> list[Manifest]:
    return list(render(write_overlay(folder, components)).of_kind("NetworkPolicy").values())
