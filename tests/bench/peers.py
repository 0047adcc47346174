"""Processes of the benchmark's own: a Redis or Valkey server, and workers that obey lines on their standard input."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from antiphon.errors import Unavailable
from antiphon.server import EmbeddedServer, External, choose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]
_REPLY_S = 60.0


class Peer:
    """A worker process that answers each line it is told with one line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._usage = psutil.Process(process.pid)

    async def tell(self, line: str) -> str:
        """Send a line and return the answer. Raises `RuntimeError` when the process has ended or stays silent."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(_REPLY_S):
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker of the benchmark ended at {line!r}")
        return answer.decode().strip()

    def cpu_s(self) -> float:
        """Return the processor time this process has used, in seconds."""
        times = self._usage.cpu_times()
        return times.user + times.system


@asynccontextmanager
async def peer(module: str, *args: str) -> AsyncIterator[Peer]:
    """Start `python -m module`, end it on leaving."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *args, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Peer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def store(folder: Path) -> AsyncIterator[str]:
    """Start a server with the platform's own settings on a unix socket; yield its URL."""
    environ = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    program = await asyncio.to_thread(choose, environ)
    if isinstance(program, External):
        raise Unavailable("the benchmark needs a server of its own")
    server = EmbeddedServer.prepare(program, folder)
    with (folder / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*server.command, stdout=log, stderr=log)
        try:
            await server.wait_ready()
            yield server.url
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
