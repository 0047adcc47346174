"""The recipes of the documentation, run as they stand."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.bus import Bus
from antiphon.webhooks.signing import new_secret, sign
from tests.integration.bus.conftest import Handler, serve
from tests.servers import Server
from tests.tools import Node, find_node, find_redis_cli

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.fixture(scope="session")
def node() -> Node:
    return find_node()


@pytest.fixture(scope="session")
def node_example(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the example, with what it needs installed."""
    folder = tmp_path_factory.mktemp("node")
    for file in (EXAMPLES / "node").iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    node.install(folder)
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "memo.wav"
    # Longer than one argument of a command may be.
    path.write_bytes(os.urandom(300_000))
    return path


@pytest_asyncio.fixture
async def working(bus: Bus) -> AsyncIterator[Handler]:
    handler = Handler()
    async with serve(bus, handler):
        yield handler


async def run(*command: str | Path, folder: Path | None = None, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            said, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return said.decode()


async def test_the_recipe_for_the_shell(server: Server, working: Handler, recording: Path) -> None:
    server.do("XADD", "jobs:{transcribe}:dead", "*", "error", "an old story", "id", "old-1")
    said = await run("sh", EXAMPLES / "producer.sh", recording, REDIS_CLI=f"{find_redis_cli()} {' '.join(server.cli)}")
    (job_id,) = working.ended
    outcome = next(json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert (outcome["id"], outcome["status"], outcome["result"]) == (job_id, "completed", {"text": "done"})
    assert "lag" in said
    assert "an old story" in said
    (reply,) = [key.decode() for key in server.do("KEYS", "replies:*")]
    group = server.describe("XINFO", "GROUPS", reply)[0]
    assert (group["name"], group["pending"], group["lag"]) == (b"books", 0, 0)


@pytest.mark.topologies("single")
async def test_the_recipe_for_node(
    server: Server, working: Handler, recording: Path, node: Node, node_example: Path
) -> None:
    said = await run(node.node, node_example / "producer.mjs", recording, REDIS_URL=f"unix://{server.socket}")
    outcomes = [json.loads(line) for line in said.splitlines()]
    assert [each["id"] for each in outcomes] == working.ended * 2
    assert {each["status"] for each in outcomes} == {"completed"}


async def test_node_verifies_our_webhooks_and_no_others(node: Node, node_example: Path) -> None:
    program = """
import { verifyWebhook } from './producer.mjs'
console.log(JSON.stringify(JSON.parse(process.argv[1]).map((request) => verifyWebhook(...request))))
"""
    body, now_s = '{"type":"job.completed","text":"Grüße"}', int(time.time())
    secret, old = new_secret(), new_secret()

    def signed(*secrets: str, at_s: int = now_s) -> dict[str, str]:
        headers = sign(secrets, event_id="evt_1", timestamp_s=at_s, body=body.encode())
        return {name.lower(): value for name, value in headers.items()}

    ours = [(secret, signed(secret), body), (old, signed(secret, old), body), ("any text", signed("any text"), body)]
    others = [
        (secret, signed(old), body),
        (secret, signed(secret), body + " "),
        (secret, signed(secret, at_s=now_s - 600), body),
        (secret, {}, body),
    ]
    command = (node.node, "--input-type=module", "--eval", program, json.dumps(ours + others))
    said = await run(*command, folder=node_example)
    assert json.loads(said) == [True] * len(ours) + [False] * len(others)


def test_the_lock_file_names_no_registry() -> None:
    text = (EXAMPLES / "node" / "package-lock.json").read_text()
    assert "resolved" not in text
    assert "integrity" in text
