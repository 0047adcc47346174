"""Every service is replaced under load, one after the other, and no client notices."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import httpx
import openai
import pytest

from antiphon.models import WeightStore
from antiphon.settings import default_cache_dir
from tests.balancer import Balancer, balancing
from tests.chaos.rollout import Process, Rollout, rollout
from tests.chaos.traffic import Traffic, flowing
from tests.contract.chat_models import UPSTREAM_KEY, UPSTREAM_KEY_ENV
from tests.contract.chat_upstream import scripted
from tests.contract.realtime_client import Talk
from tests.contract.realtime_models import ECHO, realtime_models
from tests.contract.receiver import Receiver, receiving
from tests.eventually import eventually
from tests.servers import Server, programs, running

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(600),
    # The SDK's own, of translations.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

API_KEY = "sk-rolling-0123456789"
WORKERS = {
    "transcriber": "streamed transcription",
    "translator": "translation",
    "synthesizer": "speech",
    "responder": "streamed chat",
    "realtime": "turn",
    "webhooks": "speech",
}
"""What is under way at the moment at which each is told to stop."""
DELAY_S = 3.0
DRAIN_S = 60.0
SETTINGS = {
    "ANTIPHON_API_KEYS": API_KEY,
    "ANTIPHON_EGRESS_ALLOW": "127.0.0.0/8",
    "ANTIPHON_THREADS": "1",
    "ANTIPHON_DRAIN_DELAY": str(DELAY_S),
    "ANTIPHON_DRAIN": str(DRAIN_S),
    "ANTIPHON_GRACE": "120",
    "ANTIPHON_REALTIME_GRACE": "600",
    UPSTREAM_KEY_ENV: UPSTREAM_KEY,
}
DEFAULTS = f"""
[defaults]
respond = "{ECHO}"
synthesize = "hibari"

"""


async def replace_door(crew: Rollout, balancer: Balancer, door: Process) -> None:
    """Put another door in the place of one whose conversations go on."""
    new = await crew.start("ingest")
    balancer.doors.add(new.port)
    await eventually(lambda: new.port in balancer.ready, within_s=20)
    crew.leave(door)
    await eventually(lambda: door.port not in balancer.ready, within_s=DELAY_S)
    async with httpx.AsyncClient(trust_env=False) as probe:
        assert (await probe.get(f"{door.health_url}/readyz")).status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert (await probe.get(f"{door.health_url}/healthz")).status_code == httpx.codes.OK


async def replace_worker(crew: Rollout, service: str) -> None:
    (old,) = crew.running[service]
    await crew.start(service)
    crew.leave(old)
    assert await old.ended(within_s=DRAIN_S + 15) == 0, old.log.read_text()[-2000:]


async def test_no_client_notices_that_every_service_is_replaced(tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    with (
        running(programs()["valkey"]) as server,
        scripted() as upstream,
        receiving() as named,
        receiving() as registered,
    ):
        models.write_text(DEFAULTS + realtime_models(upstream_url=upstream.base_url))
        environment = SETTINGS | {
            "REDIS_URL": server.url,
            "ANTIPHON_MODELS_FILE": str(models),
            "ANTIPHON_BLOB_URL": f"file://{tmp_path}/blobs",
        }
        async with rollout(environment, tmp_path) as crew:
            async with asyncio.TaskGroup() as starting:
                for service in (*WORKERS, "ingest", "ingest"):
                    starting.create_task(crew.start(service))
            doors = list(crew.running["ingest"])
            async with (
                balancing(*(door.port for door in doors)) as balancer,
                openai.AsyncOpenAI(
                    base_url=f"{balancer.root_url}/v1",
                    websocket_base_url=f"{balancer.root_url.replace('http', 'ws', 1)}/v1",
                    api_key=API_KEY,
                    max_retries=0,
                    timeout=120,
                ) as client,
            ):
                await eventually(lambda: len(balancer.ready) == len(doors), within_s=30)
                await client.webhooks.create(
                    name="all",
                    url=registered.url,
                    event_types=["job.completed", "job.failed"],  # type: ignore[list-item]
                )
                traffic = Traffic(client, WeightStore(default_cache_dir()).folder("speech-samples"), named.url)
                async with flowing(traffic) as conversations:
                    await traffic.all_done()
                    for door in doors:
                        await traffic.under_way("speech")
                        await replace_door(crew, balancer, door)
                    for service, kind in WORKERS.items():
                        await traffic.under_way(kind)
                        await replace_worker(crew, service)
                    await traffic.all_done()
                for talk in conversations:
                    check_conversation(talk.result())
                # Its last conversation was what each of the doors had stayed for.
                for door in doors:
                    assert await door.ended(within_s=10) == 0
                for receiver in (named, registered):
                    await check_webhooks(traffic, receiver)
                assert balancer.turned_away == 0
        check_logs(crew)
        check_server(server)


def check_conversation(talk: Talk) -> None:
    """No response, item or turn is missing or there twice, and each turn went like the others."""
    created, done = talk.of("response.created"), talk.of("response.done")
    assert [event["response"]["id"] for event in created] == [event["response"]["id"] for event in done]
    assert {event["response"]["status"] for event in done} == {"completed"}
    starts = [number for number, event in enumerate(talk.log) if event["type"] == "response.created"]
    turns = [talk.log[start:end] for start, end in itertools.pairwise(starts)]
    shapes = Counter(tuple(Talk(None, log=turn).types()) for turn in turns)
    assert len(shapes) == 1, shapes


async def check_webhooks(traffic: Traffic, receiver: Receiver) -> None:
    """Each job was told of, once."""
    await eventually(lambda: len(receiver.requests) >= len(traffic.jobs), within_s=30)
    told = Counter((request.event["data"]["id"], request.event["type"]) for request in receiver.requests)
    assert told == {(job_id, "job.completed"): 1 for job_id in traffic.jobs}


def check_logs(crew: Rollout) -> None:
    """Nothing went wrong behind the scenes either."""
    bad = [record for each in crew.every for record in each.records() if record["level"] in {"error", "critical"}]
    assert not bad, bad[:3]
    lost = [record for each in crew.every for record in each.records() if "lease was lost" in record["message"]]
    assert not lost, lost[:3]


def check_server(server: Server) -> None:
    for lane in ("transcribe", "translate", "synthesize", "respond", "realtime", "webhook"):
        assert server.do("XLEN", f"jobs:{{{lane}}}:dead") == 0
    assert not server.leaks(), server.leaks()
