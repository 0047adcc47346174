"""The service is killed while events are on their way."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from antiphon.bus import Bus, Caller
from antiphon.schemas import JobEvent
from antiphon.webhooks import Deliveries, Endpoints
from antiphon.webhooks.messages import job_message
from services.webhooks.following import GROUP, KINDS
from services.webhooks.settings import WebhookSettings
from tests.eventually import eventually
from tests.integration.webhooks.conftest import make_job, sending
from tests.integration.webhooks.receiver import Answer, Receiver, receiving
from tests.servers import Server

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


class Replicas:
    """Processes of the webhook service."""

    def __init__(self, server: Server) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._environment = os.environ | {
            "REDIS_URL": server.url,
            "ANTIPHON_LEASE": "PT2S",
            "ANTIPHON_EGRESS_ALLOW": "127.0.0.0/8",
            "ANTIPHON_WEBHOOK_SCHEDULE": "PT0.1S,PT0.1S,PT0.1S,PT0.1S,PT0.1S,PT0.1S,PT0.1S,PT0.1S",
            "ANTIPHON_WEBHOOK_CONCURRENCY": "4",
        }

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.webhooks"]
        process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    async def close(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            await asyncio.to_thread(process.wait)


@asynccontextmanager
async def replicas(server: Server) -> AsyncIterator[Replicas]:
    crew = Replicas(server)
    try:
        yield crew
    finally:
        await crew.close()


async def test_a_killed_service_loses_no_event_and_sends_each_under_its_own_id(
    server: Server, caller: Caller, endpoints: Endpoints
) -> None:
    def at_least(count: int, receiver: Receiver) -> bool:
        return len(receiver.deliveries) >= count

    async with receiving(Answer(delay_s=0.05)) as receiver, replicas(server) as crew:
        await endpoints.create("t", name="mine", url=receiver.url, event_types=("job.completed",))
        first, second, _ = crew.start(), crew.start(), crew.start()
        jobs = {job.id for job in (make_job() for _ in range(60))}
        for job_id in jobs:
            await caller.publish(make_job(id=job_id))
        await eventually(lambda: at_least(5, receiver))
        first.kill()
        await eventually(lambda: at_least(20, receiver))
        second.kill()

        def told() -> bool:
            return {each.event["data"]["id"] for each in receiver.deliveries} == jobs

        await eventually(told)
        ids: dict[str, set[str]] = {}
        for each in receiver.deliveries:
            ids.setdefault(each.event["data"]["id"], set()).add(each.id)
        assert all(len(found) == 1 for found in ids.values())
        assert len({each.body for each in receiver.deliveries}) == len(jobs)


async def test_what_died_between_queueing_and_acknowledging_is_sent_once(
    settings: WebhookSettings, bus: Bus, caller: Caller, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving() as receiver:
        endpoint = await endpoints.create("t", name="mine", url=receiver.url, event_types=("job.completed",))
        calls = [await caller.submit(make_job()) for _ in range(2)]
        for call in calls:
            await call.outcome()
        async with bus.events(GROUP, kinds=KINDS, consumer="dies") as reader:
            announced: list[JobEvent] = []
            while len(announced) < 2:
                announced += [each.event for each in await reader.read()]
            await deliveries.queue(job_message(announced[0]), endpoint)
        async with sending(settings):
            await eventually(lambda: len(set(receiver.ids)) == 2)
        assert sorted(receiver.ids) == sorted(event.id for event in announced)
