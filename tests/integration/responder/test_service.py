"""The real service with the real model: what a producer on the bus gets, and what is left when it is killed."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from antiphon.bus import Bus, Caller
from antiphon.schemas import Message, Reply, ReplyDelta, ReplyOptions, RespondJob, TextPart
from antiphon.settings import BusSettings
from tests.eventually import eventually
from tests.servers import Server, programs
from tests.workers import worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

MODELS = """
[defaults]
respond = "qwen2.5-coder-0.5b"
"""


@pytest.fixture(scope="session")
def server_program() -> Path:
    """One program: what the others do differently concerns the bus alone."""
    return programs()["valkey"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    file = tmp_path / "models.toml"
    file.write_text(MODELS)
    return file


@pytest_asyncio.fixture
async def caller(server: Server) -> AsyncIterator[Caller]:
    async with Bus.open(BusSettings(redis_url=server.url)) as bus, bus.caller() as caller:
        yield caller


def responder(server: Server, models: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a responder of its own until left."""
    return worker("responder", server, ANTIPHON_MODELS_FILE=str(models), ANTIPHON_PARALLEL="2")


def asked(text: str, **options: object) -> RespondJob:
    return RespondJob(
        model="gpt-audio",
        messages=(Message(role="user", content=(TextPart(text=text),)),),
        options=ReplyOptions(temperature=0, **options),
    )


async def test_a_killed_worker_leaves_no_model_behind_and_its_successor_answers(
    server: Server, models: Path, caller: Caller
) -> None:
    job = asked("Write a long story about a ship at sea.", max_tokens=120)
    with responder(server, models) as first:
        call = await caller.submit(job)
        events = call.events()
        texts: list[str] = []
        children: list[psutil.Process] = []
        async with asyncio.timeout(200):
            async for event in events:
                if event.kind == "reset":
                    texts.clear()
                if event.kind == "delta":
                    texts.append(ReplyDelta.model_validate_json(event.data).text)
                if len(texts) == 5 and not children:
                    children = psutil.Process(first.pid).children(recursive=True)
                    first.kill()
                    first.wait()
                    break
            assert children
            await eventually(lambda: not any(child.is_running() for child in children), within_s=10)
            with responder(server, models):
                async for event in events:
                    if event.kind == "reset":
                        texts.clear()
                    if event.kind == "delta":
                        texts.append(ReplyDelta.model_validate_json(event.data).text)
                outcome = await call.outcome()
    assert outcome.result is not None
    reply = Reply.model_validate(outcome.result)
    assert "".join(texts) == reply.text
    assert reply.usage.completion_tokens > 20
    assert outcome.attempts == 2


async def test_a_cancelled_answer_makes_room_at_once(server: Server, models: Path, caller: Caller) -> None:
    with responder(server, models):
        async with asyncio.timeout(200):
            # As many as the model has places for.
            long = [await caller.submit(asked(f"Count from {n} to a thousand.", max_tokens=3000)) for n in (1, 2)]
            for call in long:
                async for event in call.events():
                    if event.kind == "delta":
                        break
            for call in long:
                await call.cancel()
            assert {(await call.outcome()).status for call in long} == {"cancelled"}
            short = await caller.submit(asked("Say hi.", max_tokens=5))
            async with asyncio.timeout(20):
                assert (await short.outcome()).status == "completed"
