"""Replicas follow what waits and what is being worked on, as KEDA reads both from a real server."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.bus import Bus
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.schemas import PRIORITIES, Kind
from tests.eventually import eventually
from tests.integration.bus.conftest import Handler, make_job, make_settings, serve
from tests.integration.deploy.environment import read_settings
from tests.integration.deploy.manifests import (
    REDIS,
    SERVICES,
    Manifest,
    Manifests,
    overlay,
    render,
    write_overlay,
)
from tests.servers import Server

pytestmark = pytest.mark.integration

LANES: dict[str, Kind] = {
    "transcriber": "transcribe",
    "translator": "translate",
    "synthesizer": "synthesize",
    "responder": "respond",
    "realtime": "realtime",
    "webhooks": "webhook",
}
"""The lane that each worker takes its jobs from."""

TYPES = {"redis": "redis-streams", "sentinel": "redis-sentinel-streams", "cluster": "redis-cluster-streams"}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Div: operator.truediv,
}


@pytest.fixture(scope="module", params=sorted(REDIS))
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Manifests]:
    """Each way to run Redis, with the scaling that belongs to it."""
    folder: Path = tmp_path_factory.mktemp("overlay")
    return request.param, render(write_overlay(folder, REDIS[request.param]))


def test_every_worker_is_scaled_by_its_own_lane(variant: tuple[str, Manifests]) -> None:
    name, manifests = variant
    for service, lane in LANES.items():
        spec = manifests.get("ScaledObject", service)["spec"]
        assert spec["scaleTargetRef"]["name"] == service
        asked = {trigger["name"]: trigger["metadata"] for trigger in spec["triggers"]}
        assert set(asked) == {f"{what}_{priority}" for what in ("lag", "pending") for priority in PRIORITIES}
        for trigger, metadata in asked.items():
            what, priority = trigger.split("_")
            assert metadata["stream"] == LaneKeys(lane).jobs(priority)
            assert metadata["consumerGroup"] == GROUP
            assert ("lagCount" if what == "lag" else "pendingEntriesCount") in metadata
        assert _names_in(spec["advanced"]["scalingModifiers"]["formula"]) == set(asked)
        assert {trigger["type"] for trigger in spec["triggers"]} == {TYPES[name]}


def test_the_door_is_scaled_by_its_sockets_and_its_processors(variant: tuple[str, Manifests]) -> None:
    name, manifests = variant
    sessions, processors = manifests.get("ScaledObject", "ingest")["spec"]["triggers"]
    assert sessions["type"] == TYPES[name]
    assert sessions["metadata"]["stream"] == LaneKeys("realtime").jobs("hi")
    assert sessions["metadata"]["consumerGroup"] == GROUP
    assert processors["type"] == "cpu"
    limit = read_settings(manifests, "ingest").realtime.realtime_sessions
    assert int(sessions["metadata"]["pendingEntriesCount"]) <= limit // 2


def test_keda_finds_redis_where_the_services_do(variant: tuple[str, Manifests]) -> None:
    name, manifests = variant
    spec = manifests.get("TriggerAuthentication", "antiphon-redis")["spec"]
    (address,) = spec["configMapTargetRef"]
    assert address["parameter"] == ("address" if name == "redis" else "addresses")
    assert manifests.get("ConfigMap", address["name"])["data"][address["key"]]
    (password,) = spec["secretTargetRef"]
    container = manifests.pods()["ingest"]["spec"]["containers"][0]
    own = next(each for each in container["env"] if each["name"] == "REDIS_PASSWORD")["valueFrom"]["secretKeyRef"]
    assert (password["name"], password["key"]) == (own["name"], own["key"])
    for scaled in manifests.of_kind("ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            if trigger["type"] != "cpu":
                assert trigger["authenticationRef"]["name"] == "antiphon-redis"
                assert trigger["metadata"].get("sentinelMaster") == ("antiphon" if name == "sentinel" else None)


def test_a_replica_has_room_for_more_than_what_another_one_is_started_for(variant: tuple[str, Manifests]) -> None:
    _, manifests = variant
    for service in LANES:
        settings = read_settings(manifests, service)
        slots = {"realtime": "realtime_concurrency", "webhooks": "webhook_concurrency"}.get(service, "concurrency")
        target = int(manifests.get("ScaledObject", service)["spec"]["advanced"]["scalingModifiers"]["target"])
        assert target * 2 <= getattr(settings, slots), service
    for service in SERVICES:
        spec = manifests.get("ScaledObject", service)["spec"]
        # Nobody else promotes what waits for another attempt, and KEDA does not see it.
        assert spec["minReplicaCount"] >= 1
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 300
        assert all(policy["type"] == "Pods" and policy["value"] == 1 for policy in down["policies"])
        assert "replicas" not in manifests.get("Deployment", service)["spec"], "KEDA's own number would be undone"


async def test_waiting_jobs_are_lag_running_ones_pending_and_ended_ones_neither(server: Server) -> None:
    scaled = overlay("prod").get("ScaledObject", "transcriber")
    slots, waiting, bulk = 8, 40, 100
    handler = Handler(hold=True)
    settings = make_settings(server)
    async with (
        Bus.open(settings) as bus,
        bus.caller() as caller,
        serve(bus, handler, concurrency=slots),
    ):
        # The groups are there before the first job: what has none is an error to KEDA.
        assert _measured(server, scaled) == dict.fromkeys(_names(scaled), 0)
        assert replicas(scaled, _measured(server, scaled)) == 1
        for number in range(waiting):
            await caller.publish(make_job(id=f"std-{number}"))
        await eventually(lambda: len(handler.begun) == slots)
        for number in range(bulk):
            await caller.publish(make_job(id=f"bulk-{number}"), priority="bulk")
        found = _measured(server, scaled)
        assert found == dict.fromkeys(_names(scaled), 0) | {
            "pending_std": slots,
            "lag_std": waiting - slots,
            "lag_bulk": bulk,
        }
        # Of those who wait, four for each replica; of the others, forty.
        assert replicas(scaled, found) == math.ceil((waiting + bulk / 10) / 4)
        handler.release.set()
        await eventually(lambda: len(handler.ended) == waiting + bulk)
        idle = dict.fromkeys(_names(scaled), 0)
        await eventually(lambda: _measured(server, scaled) == idle)
        # What has ended is trimmed, and trimming does not change what is told.
        await eventually(lambda: server.do("XLEN", LaneKeys("transcribe").jobs("bulk")) <= 1)
        assert _measured(server, scaled) == idle
        assert replicas(scaled, idle) == 1


def replicas(scaled: Manifest, found: dict[str, int]) -> int:
    """Return how many replicas there would be, as the autoscaler reckons with an average value."""
    spec = scaled["spec"]
    modifiers = spec["advanced"]["scalingModifiers"]
    wanted = math.ceil(_evaluate(modifiers["formula"], found) / int(modifiers["target"]))
    least, most = int(spec["minReplicaCount"]), int(spec["maxReplicaCount"])
    return min(max(wanted, least), most)


def _measured(server: Server, scaled: Manifest) -> dict[str, int]:
    """Ask what KEDA asks: the group's lag, or how many entries it has pending."""
    found = {}
    for trigger in scaled["spec"]["triggers"]:
        stream, group = trigger["metadata"]["stream"], trigger["metadata"]["consumerGroup"]
        if "lagCount" in trigger["metadata"]:
            groups = {row["name"].decode(): row for row in server.describe("XINFO", "GROUPS", stream)}
            assert groups[group]["lag"] is not None
            found[trigger["name"]] = int(groups[group]["lag"])
        else:
            found[trigger["name"]] = int(server.do("XPENDING", stream, group)["pending"])
    return found


def _names(scaled: Manifest) -> list[str]:
    return [trigger["name"] for trigger in scaled["spec"]["triggers"]]


def _names_in(formula: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(formula, mode="eval")) if isinstance(node, ast.Name)}


def _evaluate(formula: str, values: dict[str, int]) -> float:
    def value(node: ast.expr) -> float:
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.Name):
            return values[node.id]
        assert isinstance(node, ast.Constant) and isinstance(node.value, int), ast.dump(node)
        return node.value

    return value(ast.parse(formula, mode="eval").body)
