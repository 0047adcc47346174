"""The real services with the real models, and a worker that is killed while it speaks."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from antiphon.realtime.session_object import Defaults, new_session
from antiphon.schemas import RealtimeJob
from tests.eventually import eventually
from tests.integration.realtime.driver_scene import Client, open_stage
from tests.servers import Server
from tests.workers import worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MODELS = """
[defaults]
respond = "qwen2.5-coder-0.5b"
synthesize = "hibari"
"""


def holder(server: Server, workers: dict[int, subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Return the process that holds the only session."""
    (consumer,) = server.do("XPENDING", "jobs:{realtime}:hi", "workers")["consumers"]
    return workers[int(consumer["name"].decode().split("-")[-2])]


async def test_an_answer_is_spoken_to_its_end_although_the_worker_of_its_session_is_killed(
    server: Server, tmp_path: Path
) -> None:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    with ExitStack() as stack:
        start = {"ANTIPHON_MODELS_FILE": str(models)}
        for service in ("responder", "synthesizer"):
            stack.enter_context(worker(service, server, **start))
        pair = [stack.enter_context(worker("realtime", server, **start)) for _ in range(2)]
        async with open_stage(server.url) as stage:
            await eventually(lambda: server.do("EXISTS", *map(_attended, ("respond", "synthesize"))) == 2, within_s=90)
            await eventually(lambda: server.do("HLEN", "workers:{realtime}") == 2, within_s=90)
            session = new_session(
                "realtime",
                session_id="sess_real",
                model="gpt-realtime",
                expires_at=int(time.time()) + 600,
                defaults=Defaults(),
            )
            job = RealtimeJob(id="sess_real", session=session)
            client = Client(stage.door.open(job.id))
            await stage.caller.publish(job, priority="hi")
            text = {"type": "input_text", "text": "Write a long story about a ship at sea."}
            item = {"type": "message", "role": "user", "content": [text]}
            await client.send("conversation.item.create", item=item)
            await client.send("response.create", response={"max_output_tokens": 240})
            await client.until("response.output_audio.delta", within_s=60)
            first = holder(server, {process.pid: process for process in pair})
            first.kill()
            begun = len(client.sound)
            done = (await client.until("response.done", within_s=60))["response"]
            second = holder(server, {process.pid: process for process in pair})
            await client.line.close("enough")
            await eventually(lambda: server.do("EXISTS", f"result:{{realtime}}:{job.id}"), within_s=10)
    assert second is not first
    assert len(client.sound) > begun > 0
    assert done["status"] in ("completed", "incomplete")
    assert not client.told("error")
    said = "".join(event["delta"] for event in client.told("response.output_audio_transcript.delta"))
    assert said.strip() == done["output"][0]["content"][0]["transcript"].strip()
    # People say 10 to 20 characters a second.
    assert len(said) / 25 < len(client.sound) / 48_000 < len(said) / 6
    ids = [event["event_id"] for event in client.events]
    assert len(set(ids)) == len(ids)
    assert len(client.told("response.created")) == len(client.told("response.done")) == 1


def _attended(lane: str) -> str:
    return f"attended:{{{lane}}}"
