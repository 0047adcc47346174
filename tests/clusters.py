"""A cluster of three masters, with replicas or without."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.crc import key_slot

from tests.nodes import DURABLE, Node, free_ports, until
from tests.servers import Server, is_leak

MASTERS, SLOTS = 3, 16384


@dataclass
class Cluster(Server):
    """Looks like one server to a test; the client library knows which of its masters has a key."""

    nodes: list[Node] = field(default_factory=list)
    """The masters of the beginning, then their replicas in the same order."""
    known: RedisCluster | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    @property
    def cli(self) -> list[str]:
        return ["-c", "-p", str(self.nodes[0].port)]

    def client(self, key: str = "{transcribe}") -> redis.Redis:
        """Return a client of the master that has a key; most of what tests do is on this lane."""
        return self.master_of(key).client()

    def start(self) -> None:
        """Start what is not running, join it on the first occasion, wait until all keys can be used."""
        first = all(node.process is None for node in self.nodes) and not (self.nodes[0].folder / "nodes.conf").exists()
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            until(lambda node=node: node.client().ping())  # type: ignore[misc]
        if first:
            self._join()
        until(self.is_whole)

    def kill(self) -> None:
        """Kill all nodes."""
        for node in self.nodes:
            node.kill()
        if self.known is not None:
            self.known.close()
            self.known = None

    def fail_over(self, key: str = "{transcribe}") -> Node:
        """Kill the master of a key; return it when its replica has taken its place."""
        until(self.is_whole)
        victim = self.master_of(key)
        victim.kill()
        until(lambda: self.master_of(key) is not victim)
        return victim

    def limit_memory(self, size: int) -> None:
        """Limit each master, or free all nodes: others may be masters by then."""
        for node in self.masters() if size else self.nodes:
            with contextlib.suppress(redis.ConnectionError), node.client() as client:
                client.config_set("maxmemory", size)

    def suspend(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGSTOP)

    def resume(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGCONT)

    def do(self, *command: str | bytes | int | float) -> Any:
        if self.known is None:
            self.known = RedisCluster(host="127.0.0.1", port=self.nodes[0].port, socket_timeout=10)
        options: dict[str, Any] = {}
        if command[0] in {"CONFIG", "FLUSHALL", "SCRIPT"}:
            options["target_nodes"] = RedisCluster.PRIMARIES
        reply = self.known.execute_command(*command, **options)  # type: ignore[no-untyped-call]
        return next(iter(reply.values())) if options else reply

    def commands(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for node in self.masters():
            with node.client() as client:
                stats: dict[str, Any] = client.info("commandstats")
            total.update({name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in stats.items()})
        return dict(total)

    def connections(self) -> int:
        """Return how many clients the most used master has."""
        counts = []
        for node in self.masters():
            with node.client() as client:
                counts.append(int(client.info("clients")["connected_clients"]))
        return max(counts)

    def leaks(self) -> list[bytes]:
        found: list[bytes] = []
        for node in self.masters():
            with node.client() as client:
                found += [key for key in client.scan_iter(count=1000) if is_leak(client, key)]
        return sorted(found)

    def masters(self) -> list[Node]:
        """Return the nodes that have slots now."""
        ports = {int(nodes[0][1]) for _, _, *nodes in self._slots()}
        return [node for node in self.nodes if node.port in ports]

    def master_of(self, key: str) -> Node:
        """Return the node that has a key now."""
        slot = key_slot(key.encode())
        port = next(int(nodes[0][1]) for first, last, *nodes in self._slots() if first <= slot <= last)
        return next(node for node in self.nodes if node.port == port)

    def move(self, key: str, *, pause: Any = None) -> None:
        """Give the slot of a key to another master, key by key as operators do; call `pause` in the middle."""
        slot, source = key_slot(key.encode()), self.master_of(key)
        target = next(node for node in self.masters() if node is not source)
        names = {node.port: _ask(node, "CLUSTER", "MYID").decode() for node in self.masters()}
        _ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port])
        _ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
        while keys := _ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 3):
            _ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            if pause is not None:
                pause()
        for node in sorted(self.masters(), key=lambda node: (node is not target, node is not source)):
            _ask(node, "CLUSTER", "SETSLOT", slot, "NODE", names[target.port])

    def is_whole(self) -> bool:
        """Tell whether all nodes know each other, all slots have a master and all replicas follow."""
        for node in self.nodes:
            if node.process is None:
                continue
            facts = _ask(node, "CLUSTER", "INFO")
            if isinstance(facts, bytes):
                facts = dict(line.split(":", 1) for line in facts.decode().splitlines())
            if facts["cluster_state"] != "ok" or int(facts["cluster_known_nodes"]) != len(self.nodes):
                return False
            with node.client() as client:
                replication = client.info("replication")
            if replication["role"] == "slave" and replication["master_link_status"] != "up":
                return False
        copies = len(self.nodes) // MASTERS
        return all(len(nodes) == copies for _, _, *nodes in self._slots())

    def close(self) -> None:
        Cluster.kill(self)

    def _slots(self) -> Any:
        living = next(node for node in self.nodes if node.process is not None)
        # Not parsed by the client library: what it makes of this reply depends on its version.
        with living.client() as client:
            client.response_callbacks.pop("CLUSTER SLOTS", None)
            return client.execute_command("CLUSTER", "SLOTS")

    def _join(self) -> None:
        for epoch, node in enumerate(self.nodes, 1):
            _ask(node, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for place, node in enumerate(self.nodes[:MASTERS]):
            first, last = place * SLOTS // MASTERS, (place + 1) * SLOTS // MASTERS - 1
            _ask(node, "CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes:
            for other in self.nodes:
                if node is not other:
                    _ask(node, "CLUSTER", "MEET", "127.0.0.1", other.port, _bus_port(other))
        for place, replica in enumerate(self.nodes[MASTERS:]):
            master = _ask(self.nodes[place], "CLUSTER", "MYID").decode()
            until(lambda replica=replica, master=master: _follow(replica, master))  # type: ignore[misc]


def _follow(replica: Node, master: str) -> bool:
    _ask(replica, "CLUSTER", "REPLICATE", master)
    return True


def _ask(node: Node, *command: Any) -> Any:
    with node.client() as client:
        return client.execute_command(*command)


def _bus_port(node: Node) -> int:
    return int(node.options[node.options.index("--cluster-port") + 1])


@contextlib.contextmanager
def cluster(
    program: Path, *more: str, replicas: int = 0, node_timeout_ms: int = 15_000, kind: type[Cluster] = Cluster
) -> Iterator[Cluster]:
    """Run three masters, each with so many replicas, in a folder of their own; kill them at the end."""
    with TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        count = MASTERS * (1 + replicas)
        ports = free_ports(2 * count)
        nodes = []
        for port, bus_port in zip(ports[:count], ports[count:], strict=True):
            options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms)]
            options += ["--cluster-port", str(bus_port), "--cluster-announce-ip", "127.0.0.1"]
            nodes.append(Node(program, folder / str(port), port, (*DURABLE, *more, *options)))
        servers = kind(program, folder, nodes=nodes)
        try:
            servers.start()
            yield servers
        finally:
            servers.close()
