"""What a key costs: processor time that a request takes more with a key of a kind. `python -m tests.bench.keys`."""

from __future__ import annotations

import statistics
import time
from typing import Any

import uvloop

from antiphon.bus import Limits
from antiphon.keys import Keys
from antiphon.models import Catalogue
from antiphon.settings import BlobSettings, BusSettings
from services.ingest.access.keyring import Keyring
from services.ingest.app import assemble
from services.ingest.platform import open_platform
from services.ingest.settings import IngestSettings
from tests.servers import programs, running

ROUNDS, REQUESTS = 40, 100
OPERATORS = "sk-bench-0123456789"


async def ask(app: Any, key: str) -> None:
    """Ask for something that takes no time itself."""
    headers = [(b"authorization", f"Bearer {key}".encode())]
    scope = {
        "type": "http", "method": "GET", "path": "/v1/models/whisper-1", "raw_path": b"", "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "root_path": "", "server": ("x", 80),
        "client": ("x", 1),
    }  # fmt: skip
    heads = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        heads.append(message)

    await app(scope, receive, send)
    if heads[0]["status"] != 200:
        raise RuntimeError(heads)


async def measure(url: str) -> None:
    """Print a line for each kind of key."""
    settings = IngestSettings(bus=BusSettings(redis_url=url), blobs=BlobSettings())
    async with open_platform(settings, Catalogue.load()) as platform:
        app, keys = assemble(platform, Keyring.parse(OPERATORS)), Keys(platform.bus)
        limits = Limits(requests_per_minute=10_000_000, audio_seconds_per_minute=1_000_000, concurrency=1000)
        kinds = {
            "the operator's own": OPERATORS,
            "made, without limits": (await keys.create(name="free"))[1],
            "made, with limits": (await keys.create(name="limited", limits=limits))[1],
        }
        cpu: dict[str, list[float]] = {name: [] for name in kinds}
        wall: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            for name, key in kinds.items():
                cpu_s, wall_s = time.process_time(), time.perf_counter()
                for _ in range(REQUESTS):
                    await ask(app, key)
                cpu[name].append((time.process_time() - cpu_s) / REQUESTS)
                wall[name].append((time.perf_counter() - wall_s) / REQUESTS)
        for name in kinds:
            best, usual = min(cpu[name]) * 1e6, statistics.median(wall[name]) * 1e6
            print(f"{name:22}  {best:6.0f} us of processor time, {usual:6.0f} us in all")


if __name__ == "__main__":
    with running(programs()["valkey"]) as server:
        uvloop.run(measure(server.url))
