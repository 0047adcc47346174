"""A master with two replicas and a sentinel that promotes one of them when the master dies."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from tests.servers import Server

MASTER = "antiphon"


@dataclass
class Trio(Server):
    """Looks like one server to a test: its master, whichever that is."""

    ports: tuple[int, ...] = ()
    sentinel_port: int = 0
    nodes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    sentinel: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel_port}/{MASTER}/0"

    @property
    def master_port(self) -> int:
        with redis.Redis(port=self.sentinel_port, socket_timeout=5) as sentinel:
            address: Any = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(address[1])

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.master_port, socket_timeout=10)

    def start(self) -> None:
        """Start what is not running; wait until the master has both replicas."""
        first = not self.nodes
        master = self.ports[0] if first else self.master_port
        for port in self.ports:
            if port not in self.nodes:
                follow = ("--replicaof", "127.0.0.1", str(master)) if port != master else ()
                self.nodes[port] = self._run("--port", str(port), "--appendonly", "yes", "--save", "", *follow)
        if self.sentinel is None:
            configuration = self.folder / "sentinel.conf"
            configuration.write_text(
                f"port {self.sentinel_port}\nsentinel monitor {MASTER} 127.0.0.1 {self.ports[0]} 1\n"
                f"sentinel down-after-milliseconds {MASTER} 1500\nsentinel failover-timeout {MASTER} 6000\n"
            )
            self.sentinel = self._run(str(configuration), "--sentinel", name="sentinel")
        if first:
            _until(self._has_replicas)

    def kill(self) -> None:
        """Kill the master; a replica takes its place. Sentinels promise nothing to who loses two at once."""
        _until(self._has_replicas)
        victim = self.master_port
        process = self.nodes.pop(victim)
        process.kill()
        process.wait()
        _until(lambda: self.master_port != victim)

    def limit_memory(self, size: int) -> None:
        """Limit the master, or free all of them: another one may be the master by then."""
        for port in [self.master_port] if size else self.nodes:
            with contextlib.suppress(redis.ConnectionError), redis.Redis(port=port, socket_timeout=5) as client:
                client.config_set("maxmemory", size)

    def close(self) -> None:
        for process in (*self.nodes.values(), *([self.sentinel] if self.sentinel else [])):
            process.kill()
            process.wait()

    def _has_replicas(self) -> bool:
        with self.client() as client:
            replication: dict[str, Any] = client.info("replication")
        with redis.Redis(port=self.sentinel_port, socket_timeout=5) as sentinel:
            known: Any = sentinel.execute_command("SENTINEL", "REPLICAS", MASTER)
        online = sum(replication.get(f"slave{i}", {}).get("state") == "online" for i in range(2))
        return online == 2 and len(known) == 2

    def _run(self, *options: str, name: str | None = None) -> subprocess.Popen[bytes]:
        folder = self.folder / (name or options[1])
        folder.mkdir(exist_ok=True)
        return subprocess.Popen([self.program, *options, "--dir", str(folder)], stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def trio(program: Path) -> Iterator[Trio]:
    """Run three servers and a sentinel in a folder of their own; kill them at the end."""
    with TemporaryDirectory(prefix="trio-", ignore_cleanup_errors=True) as folder:
        servers = Trio(program, Path(folder), ports=tuple(_free_ports(3)), sentinel_port=_free_ports(1)[0])
        try:
            servers.start()
            yield servers
        finally:
            servers.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _until(look: Any, *, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if look():
                return
        assert time.monotonic() < deadline, "the sentinel did not do its part"
        time.sleep(0.05)
