"""Server processes on loopback ports, of which sentinels and clusters are made."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import redis


@dataclass
class Node:
    """A process with a folder and a port of its own, which may be killed and started again."""

    program: Path
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, *more: str) -> None:
        """Start it unless it runs; it is not ready yet."""
        if self.process is not None:
            return
        self.folder.mkdir(exist_ok=True)
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        self.process = subprocess.Popen([self.program, *self.options, *place, *more], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill without a word, as a crash does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=10)


DURABLE = (
    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"),
    *("--repl-diskless-sync-delay", "0"),
)
"""Options of a server that carries a bus, and does not wait for more replicas before it feeds the first."""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def until(look: Callable[[], object], *, within_s: float = 30.0) -> None:
    """Wait until `look` is true; a server that does not answer yet is not."""
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if look():
                return
        assert time.monotonic() < deadline, f"the servers have not come so far within {within_s:.0f} s: {look}"
        time.sleep(0.03)
