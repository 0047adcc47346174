"""A worker process of the platform that a test starts, and may kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import Server

ROOT = Path(__file__).parents[1]


@contextmanager
def worker(service: str, server: Server, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `services.<service>` on a server until left, with leases and pauses that a test can wait for."""
    quick = {"REDIS_URL": server.url, "ANTIPHON_LEASE": "PT2S", "ANTIPHON_BACKOFF": "PT0.05S"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"services.{service}"],
        cwd=ROOT,
        env=os.environ | quick | environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
