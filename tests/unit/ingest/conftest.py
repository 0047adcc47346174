"""The HTTP layer on a real socket, with blobs in a folder and workers played by the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from antiphon.blobs import open_blobs
from antiphon.bus import OutputEvent
from antiphon.calling import Aftercare
from antiphon.keys import Keys
from antiphon.models import Catalogue
from antiphon.schemas import EventKind, Job, Kind, Outcome, Schema
from antiphon.settings import BlobSettings
from antiphon.stopping import StopRequest
from services.ingest.access.keyring import Keyring
from services.ingest.access.known_keys import KnownKeys
from services.ingest.app import assemble
from services.ingest.leaving import Leaving
from services.ingest.platform import Platform
from services.ingest.server import listen, serve_http
from services.ingest.settings import IngestSettings
from tests.values import Values

KEY = "sk-test-0123456789"


class MemoryCall:
    """A job in the hands of a worker that the test plays."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.job_id = job.id
        self.cancelled = asyncio.Event()
        self._events: asyncio.Queue[OutputEvent] = asyncio.Queue()
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._seq = 0

    def emit(self, kind: EventKind, data: bytes | Schema) -> None:
        payload = data if isinstance(data, bytes) else data.model_dump_json().encode()
        self._events.put_nowait(OutputEvent(kind, payload, self._seq))
        self._seq += 1

    def end(self, outcome: Outcome) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)
            self.emit("outcome", outcome)

    async def outcome(self) -> Outcome:
        return await asyncio.shield(self._outcome)

    async def events(self) -> AsyncGenerator[OutputEvent, None]:
        while True:
            event = await self._events.get()
            yield event
            if event.kind == "outcome":
                return

    async def cancel(self) -> None:
        self.cancelled.set()
        self.end(Outcome(id=self.job_id, status="cancelled"))

    def abandon(self) -> None:
        """Nothing waits."""


Play = Callable[[MemoryCall], Awaitable[None]]


@dataclass
class MemoryCaller:
    """A bus whose only worker is `play`."""

    play: Play | None = None
    error: Exception | None = None
    expires_in_s: float | None = None
    calls: list[MemoryCall] = field(default_factory=list)
    submitted: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def submit(self, job: Job, *, priority: str = "std", expires_in_s: float | None = None) -> MemoryCall:
        self.expires_in_s = expires_in_s
        if self.error:
            raise self.error
        call = MemoryCall(job)
        self.calls.append(call)
        self.submitted.set()
        if self.play is not None:

            async def work(play: Play) -> None:
                await play(call)

            self._tasks.append(asyncio.create_task(work(self.play)))
        return call

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def job(self) -> Any:
        (call,) = self.calls
        return call.job


@dataclass(frozen=True)
class LaneCount:
    workers: int


@dataclass
class MemoryBus:
    """What the readiness probe sees."""

    workers: dict[Kind, LaneCount] = field(
        default_factory=lambda: {
            "transcribe": LaneCount(1),
            "translate": LaneCount(1),
            "synthesize": LaneCount(1),
            "respond": LaneCount(1),
            "realtime": LaneCount(1),
        }
    )
    error: Exception | None = None
    values: Values = field(default_factory=Values)

    def now_ms(self) -> int:
        return 1_790_000_000_000

    async def attended(self, kind: Kind) -> bool:
        return kind in self.workers

    async def ping(self) -> None:
        if self.error:
            raise self.error

    async def lanes(self) -> dict[Kind, LaneCount]:
        return self.workers


@dataclass(frozen=True)
class Door:
    """A server that listens, and what is behind it."""

    url: str
    port: int
    client: httpx.AsyncClient
    caller: MemoryCaller
    bus: MemoryBus
    values: Values
    folder: Path
    platform: Platform
    stop: StopRequest

    def blobs(self) -> list[bytes]:
        """Return the contents of all blobs there are."""
        files = [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]
        return files + list(self.values.values.values())

    async def eventually(self, promise: Callable[[], bool]) -> None:
        """Wait until `promise` holds; fail when it does not within seconds."""
        async with asyncio.timeout(5):
            while not promise():
                await asyncio.sleep(0.005)


OpenDoor = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture
def open_door(tmp_path: Path) -> OpenDoor:
    @asynccontextmanager
    async def open_with(**options: Any) -> AsyncIterator[Door]:
        settings = IngestSettings(**{"port": 0, **options})
        caller, bus, values = MemoryCaller(), MemoryBus(), Values()
        folder = tmp_path / "blobs"

        blob_settings = BlobSettings(blob_url=folder.as_uri(), blob_inline_bytes=1024)
        async with open_blobs(blob_settings, values) as blobs, Aftercare() as aftercare:
            platform = Platform(
                settings=settings,
                catalogue=Catalogue.load(settings.models_file),
                bus=bus,  # type: ignore[arg-type]
                caller=caller,  # type: ignore[arg-type]
                blobs=blobs,
                aftercare=aftercare,
                session_door=None,  # type: ignore[arg-type]
                limiter=None,  # type: ignore[arg-type]
                known_keys=KnownKeys(Keys(bus), now_s=time.time),  # type: ignore[arg-type]
            )
            listener, stop = listen(settings), StopRequest()
            port = listener.getsockname()[1]
            url = f"http://127.0.0.1:{port}"
            leaving = Leaving(stop)
            app = assemble(platform, Keyring.parse(KEY), leaving=leaving)
            serving = asyncio.create_task(serve_http(app, settings, listener=listener, leaving=leaving))
            try:
                async with httpx.AsyncClient(
                    base_url=url, headers={"authorization": f"Bearer {KEY}"}, trust_env=False, timeout=10
                ) as client:
                    yield Door(url, port, client, caller, bus, values, folder, platform, stop)
            finally:
                stop.set()
                await serving
                await caller.close()

    return open_with


@pytest.fixture
async def door(open_door: OpenDoor) -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened
