"""Processes of the platform that are killed, stopped and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[2]
WORKER, WEBHOOKS, DOOR = "tests.chaos.worker", "services.webhooks", "services.ingest"


@dataclass
class Fleet:
    """Running processes by what they run. With `skew_s` their clocks are wrong by up to so much."""

    environment: dict[str, str]
    chance: random.Random = field(default_factory=random.Random)
    skew_s: float = 0.0
    processes: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def add(self, module: str) -> subprocess.Popen[bytes]:
        ahead_s = self.chance.uniform(-self.skew_s, self.skew_s)
        # Their logs are wanted only by who looks for the reason of a failure.
        with Path(os.environ.get("CHAOS_LOG", os.devnull)).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.skewed", str(ahead_s), module],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.processes.append((module, process))
        return process

    def pick(self, module: str | None = None) -> subprocess.Popen[bytes]:
        """Return a process at random."""
        return self.chance.choice([process for name, process in self.processes if module in {None, name}])

    def revive(self) -> None:
        """Start a process in the place of each that has ended."""
        for name, process in [each for each in self.processes if each[1].poll() is not None]:
            self.processes.remove((name, process))
            self.add(name)

    async def keep_alive(self) -> None:
        """Revive what ends, until cancelled."""
        while True:
            self.revive()
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        for _, process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
        for _, process in self.processes:
            await asyncio.to_thread(process.wait)


@asynccontextmanager
async def fleet(
    redis_url: str,
    *modules: str,
    chance: random.Random | None = None,
    attempts: int = 5,
    lease_s: float = 2.0,
    concurrency: int = 4,
    drain_s: float = 2.0,
    skew_s: float = 0.0,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Fleet]:
    """Run a process of each of `modules` until left."""
    crew = Fleet(
        os.environ
        | {
            "REDIS_URL": redis_url,
            "ANTIPHON_LEASE": f"PT{lease_s}S",
            "ANTIPHON_DRAIN": f"PT{drain_s}S",
            "ANTIPHON_BACKOFF": "PT0.05S",
            "ANTIPHON_MAX_BACKOFF": "PT0.5S",
            "ANTIPHON_MAX_ATTEMPTS": str(attempts),
            "ANTIPHON_CONCURRENCY": str(concurrency),
        }
        | dict(environment),
        chance or random.Random(),
        skew_s,
    )
    try:
        for module in modules:
            crew.add(module)
        yield crew
    finally:
        await crew.close()
