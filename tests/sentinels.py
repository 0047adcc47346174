"""A master with replicas, and sentinels that promote one of them when the master dies."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from tests.nodes import DURABLE, Node, free_ports, until
from tests.servers import Server

MASTER = "antiphon"


@dataclass
class Sentinels(Server):
    """Looks like one server to a test: its master, whichever that is."""

    nodes: list[Node] = field(default_factory=list)
    watchers: list[Node] = field(default_factory=list)
    down_after_ms: int = 5000

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{watcher.port}" for watcher in self.watchers)
        return f"redis+sentinel://{hosts}/{MASTER}/0"

    @property
    def cli(self) -> list[str]:
        return ["-p", str(self.master_port)]

    @property
    def master_port(self) -> int:
        with self.watchers[0].client() as sentinel:
            address: Any = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(address[1])

    def client(self, key: str = "") -> redis.Redis:
        return redis.Redis(port=self.master_port, socket_timeout=10)

    def start(self) -> None:
        """Start what is not running; wait until the master answers, on the first occasion also for its replicas."""
        first = self.watchers[0].process is None
        master = self.nodes[0].port if first else self.master_port
        for node in sorted(self.nodes, key=lambda node: node.port != master):
            node.start(*(("--replicaof", "127.0.0.1", str(master)) if node.port != master else ()))
            if node.port == master:
                until(lambda node=node: node.client().ping())  # type: ignore[misc]
        for watcher in self.watchers:
            watcher.folder.mkdir(exist_ok=True)
            configuration = watcher.folder / "sentinel.conf"
            if not configuration.exists():
                quorum = len(self.watchers) // 2 + 1
                configuration.write_text(
                    f"sentinel monitor {MASTER} 127.0.0.1 {master} {quorum}\n"
                    f"sentinel down-after-milliseconds {MASTER} {self.down_after_ms}\n"
                    f"sentinel failover-timeout {MASTER} 6000\n"
                )
                watcher.options = (str(configuration), "--sentinel")
            watcher.start()
        until(lambda: self.do("PING"))
        if first:
            until(self._are_replicas_online)

    def kill(self) -> None:
        """Kill all that hold data: there is nobody to be promoted."""
        for node in self.nodes:
            node.kill()

    def fail_over(self) -> None:
        """Kill the master; return when a replica has taken its place. Sentinels promise nothing when two are lost."""
        until(self.is_whole)
        victim = self.master_port
        next(node for node in self.nodes if node.port == victim).kill()
        until(lambda: self.master_port != victim)

    def limit_memory(self, size: int) -> None:
        """Limit the master, or free all of them: another one may be the master by then."""
        master = self.master_port
        for node in self.nodes:
            if not size or node.port == master:
                with contextlib.suppress(redis.ConnectionError), node.client() as client:
                    client.config_set("maxmemory", size)

    def suspend(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGSTOP)

    def resume(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGCONT)

    def is_whole(self) -> bool:
        """Tell whether all replicas follow, and each sentinel knows all that there are."""
        return self._are_replicas_online() and all(self._sees_all(watcher) for watcher in self.watchers)

    def close(self) -> None:
        for node in (*self.nodes, *self.watchers):
            node.kill()

    def _are_replicas_online(self) -> bool:
        replicas = len(self.nodes) - 1
        with self.client() as client:
            replication: dict[str, Any] = client.info("replication")
        return all(replication.get(f"slave{i}", {}).get("state") == "online" for i in range(replicas))

    def _sees_all(self, watcher: Node) -> bool:
        with watcher.client() as sentinel:
            replicas: list[Any] = sentinel.execute_command("SENTINEL", "REPLICAS", MASTER)
            others: list[Any] = sentinel.execute_command("SENTINEL", "SENTINELS", MASTER)
        return len(replicas) == len(self.nodes) - 1 and len(others) == len(self.watchers) - 1


@contextlib.contextmanager
def sentinels(
    program: Path,
    *more: str,
    replicas: int = 1,
    watchers: int = 3,
    down_after_ms: int = 5000,
    kind: type[Sentinels] = Sentinels,
) -> Iterator[Sentinels]:
    """Run a master with its replicas and sentinels in a folder of their own; kill them at the end."""
    with TemporaryDirectory(prefix="sentinels-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ports = free_ports(1 + replicas + watchers)
        nodes = [Node(program, folder / str(port), port, (*DURABLE, *more)) for port in ports]
        servers = kind(
            program, folder, nodes=nodes[: 1 + replicas], watchers=nodes[1 + replicas :], down_after_ms=down_after_ms
        )
        try:
            servers.start()
            yield servers
        finally:
            servers.close()
