"""More doors of the running platform: the same bus, blobs and catalogue, and a port of their own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

START_S = 60.0
STOP_S = 40.0


@dataclass
class Replica:
    """A door that a test may kill and start again."""

    port: int
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def root_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.root_url}/v1"

    def start(self, **settings: str) -> None:
        """Start it and wait until it serves; `settings` are more of its environment."""
        environment = {**self.environment, "ANTIPHON_PORT": str(self.port), **settings}
        log = Path(self.environment["ANTIPHON_STATE_DIR"]) / "logs" / f"door-{self.port}.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "services.ingest"]
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_S)
            self.process = None

    def rss_bytes(self) -> int:
        """Return how much memory it holds."""
        assert self.process is not None
        size: int = psutil.Process(self.process.pid).memory_info().rss
        return size

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.root_url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def replica(port: int, environment: Mapping[str, str]) -> Iterator[Replica]:
    """Run a door; end it in order, unless the test has killed it."""
    door = Replica(port, environment)
    door.start()
    try:
        yield door
    finally:
        if door.process is not None:
            door.process.terminate()
            try:
                door.process.wait(STOP_S)
            finally:
                door.kill()
