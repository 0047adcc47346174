"""A Redis or Valkey of a test's own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from antiphon.server.choice import find_bundled, read_version

_OWNED = re.compile(rb"jobs:\{\w+\}:(hi|std|bulk|delayed|dead)|(cancelled|events):\{\w+\}|registry:\w+:.+|secret:\w+")
"""Keys that live as long as their lane, or until their owner deletes them. Everything else must have a life span."""


def programs() -> dict[str, Path]:
    """Return the servers to test against: the bundled Valkey always, Redis when it is on the PATH."""
    found = {"valkey": find_bundled(), "redis": shutil.which("redis-server")}
    paths = {name: Path(path) for name, path in found.items() if path and read_version(Path(path))}
    assert "valkey" in paths, "the bundled server is missing: install antiphon[server]"
    return paths


@dataclass
class Server:
    """A server process on a unix socket, with an append-only file. Started by `running`."""

    program: Path
    folder: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def cli(self) -> list[str]:
        """Options of `redis-cli` for this server."""
        return ["-s", str(self.socket)]

    def client(self, key: str = "") -> redis.Redis:
        """Return a client of the server that has a key."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=10)

    def start(self) -> None:
        command: list[str | Path] = [self.program, "--port", "0", "--unixsocket", self.socket, "--dir", self.folder]
        command += [
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
        ]
        self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)

    def kill(self) -> None:
        """Kill without a word, as a crash does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def limit_memory(self, size: int) -> None:
        """Let the server have so many bytes; 0 for all it wants."""
        self.do("CONFIG", "SET", "maxmemory", size)

    def suspend(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def do(self, *command: str | bytes | int | float) -> Any:
        """Run one command."""
        with self.client() as client:
            return client.execute_command(*command)

    def describe(self, *command: str) -> list[dict[str, Any]]:
        """Run a command that answers with rows of names and values, as XINFO does."""
        rows = []
        for row in self.do(*command):
            pairs = row.items() if isinstance(row, dict) else zip(row[::2], row[1::2], strict=True)
            rows.append({name.decode(): value for name, value in pairs})
        return rows

    def commands(self) -> dict[str, int]:
        """Return how often each command was called since the last `CONFIG RESETSTAT`."""
        with self.client() as client:
            stats: dict[str, Any] = client.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in stats.items()}

    def connections(self) -> int:
        """Return how many clients are connected, this one among them."""
        with self.client() as client:
            return int(client.info("clients")["connected_clients"])

    def leaks(self) -> list[bytes]:
        """Return keys that would stay for ever without belonging to a lane."""
        with self.client() as client:
            return sorted(key for key in client.scan_iter(count=1000) if is_leak(client, key))


def is_leak(client: redis.Redis, key: bytes) -> bool:
    """Tell whether a key would stay for ever without belonging to a lane."""
    return not _OWNED.fullmatch(key) and client.ttl(key) == -1


@contextlib.contextmanager
def running(program: Path, *options: str) -> Iterator[Server]:
    """Run a server in a folder of its own; kill it and delete the folder at the end."""
    # Not under the tests' own folder: the path of a socket is at most about 100 bytes.
    folder = Path(tempfile.mkdtemp(prefix="bus-", dir=os.environ.get("TMPDIR", "/tmp")))
    server = Server(program, folder, options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
