"""A server with jobs in every state, and the command that looks at them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from antiphon.bus import Bus, Caller, Work
from antiphon.cli.app import app
from antiphon.errors import Unavailable
from antiphon.schemas import BlobRef, Job, Schema, TranscribeJob
from antiphon.settings import BusSettings
from tests.servers import Server, programs, running


class Done(Schema):
    text: str = "done"


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Shop:
    """A lane with a worker that holds, fails or puts off a job as its id says."""

    def __init__(self, server: Server, bus: Bus, caller: Caller) -> None:
        self.server = server
        self.bus = bus
        self.release = asyncio.Event()
        self.mended = False
        self._caller = caller

    async def put(self, *job_ids: str, tenant: str = "acme", **fields: Any) -> None:
        for job_id in job_ids:
            job = TranscribeJob(id=job_id, tenant=tenant, audio=BlobRef(uri="data:,"), model="whisper-1", **fields)
            await self._caller.publish(job)

    def work(self, *, slots: int = 2) -> AbstractAsyncContextManager[Any]:
        return self.bus.serve("transcribe", TranscribeJob, self._handle, concurrency=slots)

    async def _handle(self, job: Job, work: Work) -> Done:
        if job.id.startswith("hold"):
            await self.release.wait()
        if job.id.startswith("later"):
            raise Unavailable("not now", retry_after_s=60)
        if job.id.startswith("bad") and not self.mended:
            raise Unavailable(f"the [model] of {job.id} is away")
        return Done()

    async def command(self, *words: str, **environ: str) -> Said:
        """Run `antiphon` in a thread, as a process of its own would: it has a loop of its own."""
        own = {"REDIS_URL": self.server.url, "ANTIPHON_STATE_DIR": str(self.server.folder / "none")} | environ
        result = await asyncio.to_thread(CliRunner().invoke, app, list(words), env=own)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with running(programs()["valkey"]) as server:
        yield server


@pytest_asyncio.fixture
async def shop(one_server: Server) -> AsyncIterator[Shop]:
    one_server.do("FLUSHALL")
    settings = BusSettings(
        redis_url=one_server.url, max_attempts=2, backoff=timedelta(milliseconds=1), max_backoff=timedelta(seconds=1)
    )
    async with Bus.open(settings) as bus, bus.caller() as caller:
        opened = Shop(one_server, bus, caller)
        yield opened
        opened.release.set()
    assert one_server.leaks() == []
