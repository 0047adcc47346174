"""A platform started as a user starts it, on a port and with data of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import psutil

from antiphon.supervisor.state import StateFolder
from tests.bench.peers import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_READY_S = 180.0
_STOP_S = 60.0
_REQUEST_S = 300.0


@dataclass(frozen=True)
class Door:
    """Where a platform is reached."""

    base_url: str
    """As an OpenAI client takes it: with `/v1`."""
    api_key: str
    pid: int | None = None
    """The supervising process, where it is ours."""
    redis_url: str | None = None
    """Its bus, where it is ours."""

    @asynccontextmanager
    async def client(self, *, connections: int = 32) -> AsyncIterator[httpx.AsyncClient]:
        """Yield a client that keeps its connections open."""
        async with httpx.AsyncClient(
            base_url=self.base_url,
            headers={"authorization": f"Bearer {self.api_key}"},
            timeout=_REQUEST_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        ) as client:
            yield client

    def services(self) -> dict[str, psutil.Process]:
        """Return the running services by name; replicas are numbered."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.pid).children(recursive=True):
            name = next(
                (part.removeprefix("services.") for part in child.cmdline() if part.startswith("services.")), ""
            )
            if name:
                found[name if name not in found else f"{name}-{len(found)}"] = child
        return found


@asynccontextmanager
async def platform(
    folder: Path,
    *,
    workers: Mapping[str, int],
    threads: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Door]:
    """Run `antiphon up` with so many processes of each worker; `threads` is how many one model call may use.

    Raises `RuntimeError` with what it said when it does not become ready.
    """
    key, port = f"sk-bench-{secrets.token_hex(8)}", _free_port()
    environ = {name: value for name, value in os.environ.items() if name != "REDIS_URL"} | {
        "ANTIPHON_STATE_DIR": str(folder),
        "ANTIPHON_PORT": str(port),
        "ANTIPHON_API_KEYS": key,
        **(environment or {}),
    }
    if threads is not None:
        environ["ANTIPHON_THREADS"] = str(threads)
    replicas = [option for name, count in workers.items() for option in ("-w", f"{name}={count}")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "antiphon.cli",
        "up",
        *replicas,
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said = await _wait_ready(process)
        reading = asyncio.create_task(_swallow(process, said))
        address = StateFolder(folder).read_address()
        redis_url = address.redis_url if address else None
        yield Door(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, pid=process.pid, redis_url=redis_url)
        reading.cancel()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _wait_ready(process: asyncio.subprocess.Process) -> list[str]:
    said: list[str] = []
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            while line := (await process.stdout.readline()).decode():
                said.append(line)
                if line.startswith("ready"):
                    return said
    except TimeoutError:
        pass
    raise RuntimeError("the platform did not start: " + "".join(said[-5:]).strip())


async def _swallow(process: asyncio.subprocess.Process, said: list[str]) -> None:
    """Keep the pipe from filling."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        said.append(line.decode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
