"""Worker processes that are killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import Server

ROOT = Path(__file__).parents[2]


@dataclass
class Fleet:
    """Some workers of `tests.chaos.worker`."""

    server: Server
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker"], cwd=ROOT, env=self.environment, stderr=subprocess.DEVNULL
        )
        self.processes.append(process)
        return process

    def revive(self) -> None:
        """Start a worker in the place of each that has ended."""
        for process in [p for p in self.processes if p.poll() is not None]:
            self.processes.remove(process)
            self.add()

    async def close(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self.processes:
            await asyncio.to_thread(process.wait)


@asynccontextmanager
async def fleet(
    server: Server, *, workers: int, attempts: int = 5, lease_s: float = 2.0, concurrency: int = 4, drain_s: float = 2.0
) -> AsyncIterator[Fleet]:
    """Run workers on the lane `transcribe` until left."""
    environment = os.environ | {
        "REDIS_URL": server.url,
        "ANTIPHON_LEASE": f"PT{lease_s}S",
        "ANTIPHON_DRAIN": f"PT{drain_s}S",
        "ANTIPHON_BACKOFF": "PT0.05S",
        "ANTIPHON_MAX_ATTEMPTS": str(attempts),
        "ANTIPHON_CONCURRENCY": str(concurrency),
    }
    crew = Fleet(server, environment)
    try:
        for _ in range(workers):
            crew.add()
        yield crew
    finally:
        await crew.close()
