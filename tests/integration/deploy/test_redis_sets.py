"""The scripts that start sentinels and clusters in pods, run against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.bus import Bus
from antiphon.settings import BusSettings
from tests.integration.deploy.manifests import REDIS, render, write_overlay
from tests.integration.deploy.redis_nodes import PASSWORD, SENTINEL_PORT_ABOVE, Nodes, running_nodes, until

pytestmark = pytest.mark.integration


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Nodes]:
    """Three servers with their sentinels, which have found each other."""
    manifests = render(write_overlay(tmp_path / "overlay", REDIS["sentinel"]))
    with running_nodes(tmp_path / "nodes", manifests, 3) as nodes:
        for address in nodes.addresses:
            nodes.start(address)
            nodes.start(address, "sentinel")
        until(lambda: all(_is_settled(nodes, address) for address in nodes.addresses))
        for address in nodes.addresses:
            # Five seconds are right for a network.
            _sentinel(nodes, address, "SET", "antiphon", "down-after-milliseconds", "500")
        yield nodes


async def test_the_first_server_is_the_master_and_the_services_find_it(watched: Nodes) -> None:
    first, *others = watched.addresses
    assert watched.ask(first, "ROLE")[0] == b"master"
    assert [watched.ask(address, "ROLE")[:2] for address in others] == [[b"slave", first.encode()]] * 2
    sentinels = ",".join(f"{address}:{watched.port + SENTINEL_PORT_ABOVE}" for address in watched.addresses)
    url = f"redis+sentinel://:{PASSWORD}@{sentinels}/antiphon/0"
    async with Bus.open(BusSettings(redis_url=url)) as bus:
        await bus.ping()


def test_a_dead_master_is_replaced_and_follows_when_it_comes_back(watched: Nodes) -> None:
    first, *others = watched.addresses
    watched.ask(first, "SET", "kept", "1")
    assert watched.ask(first, "WAIT", "2", "5000") == 2
    watched.kill(first)
    master = until(lambda: _master(watched, others[0], other_than=first))
    watched.start(first)
    until(lambda: watched.ask(first, "ROLE")[:2] == [b"slave", master.encode()])
    assert watched.ask(master, "GET", "kept") == b"1"
    # One that starts asks who is the master now, not who was the first.
    watched.kill(first)
    watched.start(first)
    until(lambda: watched.ask(first, "ROLE")[3] == b"connected")
    assert watched.ask(first, "GET", "kept") == b"1"


def test_a_master_that_has_lost_its_data_does_not_empty_the_others(watched: Nodes) -> None:
    first, *others = watched.addresses
    watched.ask(first, "SET", "kept", "1")
    assert watched.ask(first, "WAIT", "2", "5000") == 2
    watched.kill(first)
    watched.kill(first, "sentinel")
    watched.lose_data(first)
    watched.start(first)
    watched.start(first, "sentinel")
    until(lambda: watched.ask(first, "ROLE")[3] == b"connected")
    assert watched.ask(first, "GET", "kept") == b"1"
    assert _master(watched, others[0], other_than=first) in others


async def test_six_nodes_become_one_cluster_once_and_again_after_all_were_killed(tmp_path: Path) -> None:
    manifests = render(write_overlay(tmp_path / "overlay", REDIS["cluster"]))
    with running_nodes(tmp_path / "nodes", manifests, 6) as nodes:
        for address in nodes.addresses:
            nodes.start(address)
        assert "All 16384 slots covered" in nodes.run("create.sh")
        assert "belongs to a cluster already" in nodes.run("create.sh")
        until(lambda: all(_is_whole(nodes, address) for address in nodes.addresses))
        url = f"redis+cluster://:{PASSWORD}@" + ",".join(f"{address}:{nodes.port}" for address in nodes.addresses[:3])
        async with Bus.open(BusSettings(redis_url=url)) as bus:
            await bus.ping()
        for address in nodes.addresses:
            nodes.kill(address)
        for address in nodes.addresses:
            nodes.start(address)
        until(lambda: all(_is_whole(nodes, address) for address in nodes.addresses))
        roles = [nodes.ask(address, "ROLE")[0] for address in nodes.addresses]
        assert sorted(roles) == [b"master"] * 3 + [b"slave"] * 3


def _sentinel(nodes: Nodes, address: str, *command: str) -> object:
    return nodes.ask(address, f"SENTINEL {command[0]}", *command[1:], port=nodes.port + SENTINEL_PORT_ABOVE)


def _master(nodes: Nodes, address: str, *, other_than: str) -> str | None:
    """Return the master that a sentinel names, if it is another one and knows it."""
    named = nodes.ask(address, "SENTINEL GET-MASTER-ADDR-BY-NAME", "antiphon", port=nodes.port + SENTINEL_PORT_ABOVE)
    name = str(named[0].decode() if isinstance(named[0], bytes) else named[0])
    return name if name != other_than and nodes.ask(name, "ROLE")[0] == b"master" else None


def _is_settled(nodes: Nodes, address: str) -> bool:
    """Tell whether a sentinel knows the other two and both replicas."""
    told = nodes.ask(address, "INFO", "sentinel", port=nodes.port + SENTINEL_PORT_ABOVE)
    line = next(value for name, value in told.items() if name.startswith("master0"))
    return int(line["slaves"]) == 2 and int(line["sentinels"]) == 3 and line["status"] == "ok"


def _is_whole(nodes: Nodes, address: str) -> bool:
    told = nodes.ask(address, "CLUSTER INFO")
    return bool(told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == 6)
