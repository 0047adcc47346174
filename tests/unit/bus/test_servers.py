"""What a URL of the bus names, and where the keys of commands lie."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from redis.exceptions import MovedError

from antiphon.bus.cluster import Cluster, slot_of
from antiphon.bus.cluster_outbox import key_of
from antiphon.bus.cluster_servers import ClusterServers
from antiphon.bus.connection import memory_of
from antiphon.bus.servers import OneServer, connect
from antiphon.errors import InvalidValue
from antiphon.settings import BusSettings

pytestmark = pytest.mark.unit


def opened(url: str) -> Any:
    return connect(BusSettings(redis_url=url))


@pytest.mark.parametrize(
    ("url", "seeds", "options"),
    [
        ("redis+cluster://a:1,b:2", [("a", 1), ("b", 2)], {}),
        ("redis+cluster://a", [("a", 6379)], {}),
        ("redis+cluster://[::1]:7000,[::2]/0", [("::1", 7000), ("::2", 6379)], {}),
        ("rediss+cluster://me:p%40ss@a:1", [("a", 1)], {"username": "me", "password": "p@ss", "ssl": True}),
        ("redis+cluster://:secret@a:1", [("a", 1)], {"username": None, "password": "secret"}),
    ],
)
def test_the_nodes_of_a_cluster_are_read_from_the_url(
    url: str, seeds: list[tuple[str, int]], options: dict[str, Any]
) -> None:
    servers = opened(url)
    assert isinstance(servers, ClusterServers)
    assert servers._cluster._seeds == seeds
    assert options.items() <= servers._cluster._options.items()
    assert ("ssl" in servers._cluster._options) == ("ssl" in options)


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster://a:1/2",
        "redis+cluster://a:port",
        "redis+sentinel://a:1",
        "redis+sentinel:///name",
        "redis+sentinel://a:1/name/db",
    ],
)
def test_a_url_that_names_too_little_or_too_much_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="REDIS_URL"):
        opened(url)


@pytest.mark.parametrize("url", ["redis://a:1/2", "unix:///tmp/s?db=0", "redis+sentinel://a,b:2/name/1"])
def test_other_urls_are_one_server(url: str) -> None:
    servers = opened(url)
    assert isinstance(servers, OneServer)
    assert servers.together([b"a", b"b"]) == [[b"a", b"b"]]


@given(st.binary(max_size=20) | st.text("{}ab", max_size=12).map(str.encode))
def test_a_slot_is_the_one_that_the_client_library_finds(key: bytes) -> None:
    assert slot_of(key) == key_slot(key)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), "a"),
        (("MGET", b"a{x}", "b{x}"), b"a{x}"),
        (("EVALSHA", "0" * 40, 2, "k1", "k2", "v"), "k1"),
        (("XGROUP", "CREATE", "s", "g", "0"), "s"),
        (("XINFO", "GROUPS", "s"), "s"),
        (("XADD", "s", "*", "f", "v"), "s"),
    ],
)
def test_the_key_of_a_command_is_found(command: tuple[Any, ...], key: str | bytes) -> None:
    assert key_of(command) == key


@pytest.mark.parametrize("command", [("PING",), ("WAIT", 1, 100), ("INFO", "memory"), ("TIME",), ("KEYS", "*")])
def test_a_command_without_a_key_is_not_sent_anywhere(command: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="names no key"):
        key_of(command)


def test_what_one_command_may_name_is_told_by_slot() -> None:
    servers = opened("redis+cluster://a:1")
    assert servers.together([b"events:{a}", b"events:{b}", b"x:{a}"]) == [[b"events:{a}", b"x:{a}"], [b"events:{b}"]]


async def test_the_map_is_learned_whole_and_mended_slot_by_slot() -> None:
    cluster = Cluster([("seed", 1)], {})
    assert cluster.masters() == []
    # A node that does not know its own name is the one that was asked; one that nobody knows is nobody.
    rows = [
        [0, 8191, [b"", 1, b"id"], [b"b", 2, b"id"]],
        [8192, 16382, [b"b", 2, b"id"]],
        [16383, 16383, [b"?", 0, b"id"]],
    ]
    cluster._take(rows, told_by=("seed", 1))
    assert [cluster.owner(slot) for slot in (0, 8191, 8192, 16383)] == [("seed", 1), ("seed", 1), ("b", 2), None]
    assert cluster.masters() == [("b", 2), ("seed", 1)]
    cluster.learn(MovedError("5 c:3"), told_by=("seed", 1))
    cluster.learn(MovedError("6 :4"), told_by=("seed", 1))
    assert [cluster.owner(slot) for slot in (4, 5, 6)] == [("seed", 1), ("c", 3), ("seed", 4)]


def test_memory_is_the_sum_of_all_and_without_limit_when_one_has_none() -> None:
    first = b"# Memory\r\nused_memory:100\r\nused_memory_human:100B\r\nmaxmemory:1000\r\n"
    second = b"# Memory\r\nused_memory:50\r\nmaxmemory:0\r\n"
    assert memory_of([first]) == (100, 1000)
    assert memory_of([first, first]) == (200, 2000)
    assert memory_of([first, second]) == (150, 0)
