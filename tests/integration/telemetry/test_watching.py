"""What a process shows to who watches it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from antiphon.bus import Bus, Work
from antiphon.schemas import BlobRef, Job, Schema, TranscribeJob
from antiphon.settings import BusSettings, WatchSettings
from antiphon.telemetry import instruments
from antiphon.telemetry.health import Health
from antiphon.telemetry.watching import Watch, watched
from services.ingest.lane_state import LaneState
from tests.eventually import eventually
from tests.servers import Server
from tests.workers import worker

pytestmark = pytest.mark.integration

NAMED = {each._name for each in vars(instruments).values() if isinstance(each, MetricWrapperBase)}
FOREIGN = ("process_", "python_")
QUICK: dict[str, Any] = {"lease": timedelta(seconds=1), "drain": timedelta(seconds=1)}


def asking(watch: Watch) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=watch), base_url="http://watch")


async def reply(client: httpx.AsyncClient, path: str) -> httpx.Response | None:
    """Return the answer, None while nobody listens."""
    try:
        return await client.get(path)
    except httpx.TransportError:
        return None


async def status(client: httpx.AsyncClient, path: str) -> int:
    answer = await reply(client, path)
    return answer.status_code if answer else 0


async def told(client: httpx.AsyncClient, name: str) -> list[float]:
    """Return the values of a series."""
    families = read_text((await client.get("/metrics")).text)
    return [sample.value for family in families for sample in family.samples if sample.name == name]


async def test_a_worker_tells_the_metrics_that_are_named_and_no_others(
    own_server: Server, watched_at: httpx.AsyncClient, free_port: int
) -> None:
    with worker("webhooks", own_server, ANTIPHON_METRICS_PORT=str(free_port)) as process:

        async def is_ready() -> bool:
            return await status(watched_at, "/readyz") == 200

        await eventually(is_ready)
        text = (await watched_at.get("/metrics")).text
        families = {family.name: family for family in read_text(text)}
        assert families.keys() >= NAMED, NAMED - families.keys()
        assert {name for name in families if name not in NAMED and not name.startswith(FOREIGN)} == set()
        assert "process_resident_memory_bytes" in families
        lanes = {sample.labels.get("lane") for sample in families["antiphon_jobs"].samples}
        assert lanes == {"webhook"}, "a counter begins at 0, not with its first count"

        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        reply = await watched_at.get("/metrics", headers=accept)
        assert reply.headers["content-type"].startswith("application/openmetrics-text")
        families = read_openmetrics(reply.text)  # type: ignore[no-untyped-call]
        assert {family.name for family in families} >= NAMED

        probe = [sys.executable, "-m", "antiphon.probe"]
        environment = os.environ | {"ANTIPHON_METRICS_PORT": str(free_port)}
        assert await asyncio.to_thread(lambda: subprocess.run(probe, env=environment, check=False).returncode) == 0

        own_server.kill()
        alive = await eventually(lambda: away(watched_at))
        assert alive.status_code == 200, "a restart of the process would not bring the server back"
        assert (await told(watched_at, "antiphon_store_away_seconds"))[0] > 0
        own_server.start()

        async def is_back() -> bool:
            return (await told(watched_at, "antiphon_store_away_seconds")) == [0.0]

        await eventually(is_back)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0


async def away(client: httpx.AsyncClient) -> httpx.Response | None:
    answer = await client.get("/healthz")
    return answer if "store_away_s" in answer.json() else None


def test_a_port_that_is_taken_is_told_in_one_line(own_server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "services.webhooks"],
            env=os.environ | {"REDIS_URL": own_server.url, "ANTIPHON_METRICS_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert ended.returncode == 78
    assert ended.stderr.splitlines()[-1].startswith(f"webhooks cannot start: cannot listen on 127.0.0.1:{port} for me")


async def test_a_process_is_ready_between_its_start_and_its_end() -> None:
    stop = asyncio.Event()
    health = Health(stop)
    async with asking(Watch(health)) as client:
        assert (await client.get("/readyz")).json() == {"status": "starting"}
        health.ready = True
        assert await status(client, "/readyz") == 200
        stop.set()
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
        assert await status(client, "/healthz") == 200, "a process that drains is well"


class Held:
    """Works until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self, job: Job, work: Work) -> Schema:
        self.begun += 1
        await self.go.wait()
        return Schema()


async def test_a_read_loop_that_stands_still_is_a_reason_to_be_restarted(own_server: Server) -> None:
    health = Health(stuck_s=1.5)
    settings = BusSettings(redis_url=own_server.url, **QUICK)
    async with Bus.open(settings, health=health) as bus, asking(Watch(health)) as client:
        async with bus.serve("transcribe", TranscribeJob, Held(), concurrency=1) as subscriber:
            assert await status(client, "/healthz") == 200
            subscriber._intake._wait = lambda *_: asyncio.sleep(60)

            async def stuck() -> httpx.Response | None:
                answer = await client.get("/healthz")
                return answer if answer.status_code == 503 else None

            assert (await eventually(stuck)).json()["stuck"] == ["transcribe read"]
        assert await status(client, "/healthz") == 200, "a loop that was ended is not missed"


async def test_a_worker_whose_slots_are_full_for_long_is_well(own_server: Server) -> None:
    health, held = Health(stuck_s=1.5), Held()
    settings = BusSettings(redis_url=own_server.url, **QUICK)
    async with (
        Bus.open(settings, health=health) as bus,
        bus.caller() as caller,
        asking(Watch(health)) as client,
        bus.serve("transcribe", TranscribeJob, held, concurrency=1),
    ):
        await caller.publish(TranscribeJob(audio=BlobRef(uri="redis:x"), model="m"))
        await eventually(lambda: held.begun)
        await asyncio.sleep(1.5 + settings.lease.total_seconds() + 0.5)
        assert await status(client, "/healthz") == 200
        held.go.set()


async def test_a_server_that_is_away_is_no_reason_to_be_restarted(own_server: Server) -> None:
    # Longer than a read that the suspended server does not answer.
    health = Health(stuck_s=11.0)
    settings = BusSettings(redis_url=own_server.url, **QUICK)
    async with (
        Bus.open(settings, health=health) as bus,
        asking(Watch(health)) as client,
        bus.serve("transcribe", TranscribeJob, Held(), concurrency=1),
    ):
        own_server.kill()
        answer = await eventually(lambda: away(client))
        assert answer.status_code == 200
        own_server.start()


async def test_the_state_of_lanes_is_there_or_absent_and_never_old(own_server: Server) -> None:
    health = Health()
    settings = BusSettings(redis_url=own_server.url, **QUICK)
    async with Bus.open(settings, health=health) as bus, bus.caller() as caller, asking(Watch(health)) as client:
        health.before_metrics.append(LaneState(bus).refresh)
        await caller.publish(TranscribeJob(audio=BlobRef(uri="redis:x"), model="m"), priority="bulk")
        families = {family.name: family for family in read_text((await client.get("/metrics")).text)}
        waiting = {
            (sample.labels["lane"], sample.labels["priority"]): sample.value
            for sample in families["antiphon_lane_waiting"].samples
        }
        assert waiting[("transcribe", "bulk")] == 1
        assert waiting[("respond", "hi")] == 0
        assert {sample.labels["kind"] for sample in families["antiphon_store_bytes"].samples} == {"used", "limit"}

        before = own_server.commands()["xinfo|groups"]
        for _ in range(5):
            assert await told(client, "antiphon_lane_pending")
        assert own_server.commands()["xinfo|groups"] - before <= 18, "who asks often is told what was seen just now"

        own_server.kill()

        async def absent() -> bool:
            return not await told(client, "antiphon_lane_waiting") and not await told(client, "antiphon_store_bytes")

        await eventually(absent)
        own_server.start()


async def test_a_scrape_lets_the_work_of_the_process_go_on() -> None:
    registry = CollectorRegistry()
    for number in range(300):
        counter = Counter(f"counted_{number}", "Counted.", ("place",), registry=registry)
        for place in range(10):
            counter.labels(str(place)).inc()
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asking(Watch(Health(), registry=registry)) as client:
        await client.get("/metrics")
        working = asyncio.create_task(work())
        await asyncio.sleep(0)
        turns = 0
        await client.get("/healthz")
        quick, turns = turns, 0
        await client.get("/metrics")
        working.cancel()
    assert turns > quick + 5


async def test_nothing_else_is_told_there() -> None:
    async with asking(Watch(Health())) as client:
        assert await status(client, "/") == 404
        assert (await client.post("/metrics")).status_code == 405
        head = await client.head("/healthz")
        assert (head.status_code, head.content) == (200, b"")


async def test_without_a_port_nobody_is_watched(free_port: int) -> None:
    async with watched(WatchSettings(metrics_port=0), Health()), httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{free_port}/healthz")
