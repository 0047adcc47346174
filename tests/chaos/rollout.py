"""Services that are replaced one after the other, as a cluster does: the next one is ready before the last one goes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.contract.conftest import free_ports
from tests.eventually import eventually

START_S = 90.0


@dataclass(frozen=True)
class Process:
    """One running service."""

    service: str
    port: int
    """Where a door listens."""
    health_port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def health_url(self) -> str:
        return f"http://127.0.0.1:{self.health_port}"

    def order_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, *, within_s: float) -> int:
        """Wait for its end; return its exit code."""
        return await asyncio.to_thread(self.process.wait, within_s)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield what it has logged."""
        for line in self.log.read_bytes().splitlines():
            yield orjson.loads(line)


@dataclass
class Rollout:
    """The processes of a platform. Each answers probes at a port of its own."""

    environment: dict[str, str]
    folder: Path
    running: dict[str, list[Process]] = field(default_factory=dict)
    every: list[Process] = field(default_factory=list)

    async def start(self, service: str) -> Process:
        """Start a process and wait until it says that it is ready."""
        port, health_port = free_ports(2)
        log = self.folder / f"{len(self.every)}-{service}.log"
        environment = {"ANTIPHON_PORT": str(port), "ANTIPHON_METRICS_PORT": str(health_port)}
        with log.open("wb") as output:
            process = Process(
                service,
                port,
                health_port,
                log,
                subprocess.Popen(
                    [sys.executable, "-m", f"services.{service}"],
                    env=os.environ | self.environment | environment,
                    stdout=output,
                    stderr=output,
                ),
            )
        self.every.append(process)
        self.running.setdefault(service, []).append(process)
        async with httpx.AsyncClient(base_url=process.health_url, trust_env=False, timeout=5) as probe:
            await eventually(lambda: self._is_ready(process, probe), within_s=START_S)
        return process

    def leave(self, process: Process) -> None:
        """Tell a process to stop."""
        self.running[process.service].remove(process)
        process.order_to_stop()

    def close(self) -> None:
        for process in self.every:
            process.process.kill()
            process.process.wait()

    async def _is_ready(self, process: Process, probe: httpx.AsyncClient) -> bool:
        assert process.process.poll() is None, process.log.read_text()
        try:
            return (await probe.get("/readyz")).status_code == httpx.codes.OK
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            return False


@asynccontextmanager
async def rollout(environment: dict[str, str], folder: Path) -> AsyncIterator[Rollout]:
    """Run services until left."""
    crew = Rollout(environment, folder)
    try:
        yield crew
    finally:
        crew.close()
