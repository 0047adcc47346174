"""Workers are killed and told to stop while their sessions go on."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio

from antiphon.schemas import RespondJob, SynthesizeJob, TranscribeJob
from tests.eventually import eventually
from tests.integration.realtime.driver_scene import (
    CHUNK,
    Client,
    Listening,
    Speaker,
    Stage,
    Writer,
    open_stage,
    worker,
)
from tests.servers import Server

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def stage(server: Server) -> AsyncIterator[Stage]:
    async with open_stage(server.url) as stage:
        yield stage


@pytest.fixture
def pair(server: Server) -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Two workers that are ready, by their process id."""
    with ExitStack() as stack:
        processes = [stack.enter_context(worker(server)) for _ in range(2)]
        deadline = time.monotonic() + 30
        while server.do("HLEN", "workers:{realtime}") < len(processes):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield {process.pid: process for process in processes}


async def holder(client: Client, pair: dict[int, subprocess.Popen[bytes]]) -> tuple[subprocess.Popen[bytes], Any]:
    """Return the worker that holds a session, and where the session is."""
    before = len(client.told("here"))
    await client.send("where")
    here = await client.until("here", count=before + 1)
    return pair[here["pid"]], here["position"]


async def test_a_killed_worker_is_followed_within_a_second_and_nothing_is_said_twice(
    stage: Stage, pair: dict[int, subprocess.Popen[bytes]]
) -> None:
    listening = Listening(stage.blobs)
    async with stage.bus.serve("transcribe", TranscribeJob, listening, concurrency=4):
        client, _ = await stage.begin()
        await client.append(30)
        await client.until("heard")
        first, position = await holder(client, pair)
        assert position == 30 * 640
        # Part of this was heard and led to nothing yet: it is not in any snapshot.
        await client.append(15)
        first.kill()
        killed_s = time.monotonic()
        await client.append(15)
        await client.send("echo")
        await client.until("echo")
        took_s = time.monotonic() - killed_s
        second, position = await holder(client, pair)
        assert second is not first
        assert position == 60 * 640
        await client.until("heard", count=2)
    assert client.numbers() == list(range(1, len(client.events) + 1))
    assert [event["item_id"] for event in client.told("committed")] == ["item_0", "item_16000"]
    assert [event["text"] for event in client.told("heard")] == ["48000 bytes"] * 2
    assert took_s < 1.5


async def test_an_answer_and_a_speech_go_on_where_the_client_is(
    stage: Stage, pair: dict[int, subprocess.Popen[bytes]]
) -> None:
    writer, speaker = Writer(held_at=1), Speaker(samples=48_000, held=True)
    async with (
        stage.bus.serve("respond", RespondJob, writer, concurrency=4),
        stage.bus.serve("synthesize", SynthesizeJob, speaker, concurrency=4),
    ):
        client, _ = await stage.begin()
        await client.send("ask", id="resp_1", text="Count.")
        await client.send("say", id="resp_2", text="Hello.")
        await client.until("wrote")
        await client.until("response.output_audio.delta", count=5)
        first, _ = await holder(client, pair)
        first.kill()
        writer.go_on.set()
        speaker.go_on.set()
        await client.until("answered")
        await client.until("response.done")
        await client.send("retrieve", item_id="item_resp_2")
        found = await client.until("found")
    assert [event["text"] for event in client.told("wrote")] == ["One. ", "Two. ", "Three."]
    assert client.sound == speaker.sound
    assert found["parts"]["0"][0] == len(client.sound)
    assert client.numbers() == list(range(1, len(client.events) + 1))
    assert (writer.asked, speaker.asked) == (["resp_1"], ["resp_2.0"])


async def test_a_worker_that_stops_hands_its_sessions_on_and_leaves_their_jobs_alone(
    stage: Stage, pair: dict[int, subprocess.Popen[bytes]]
) -> None:
    writer = Writer(held_at=1)
    async with stage.bus.serve("respond", RespondJob, writer, concurrency=4):
        client, _ = await stage.begin()
        await client.send("ask", id="resp_1", text="Count.")
        await client.until("wrote")
        first, _ = await holder(client, pair)
        first.terminate()
        asked_s = time.monotonic()
        # It may answer once more before it is told.
        while (await holder(client, pair))[0] is first:
            await asyncio.sleep(0.02)
        took_s = time.monotonic() - asked_s
        writer.go_on.set()
        await client.until("answered")
        await eventually(lambda: first.poll() is not None, within_s=10)
    assert [event["text"] for event in client.told("wrote")] == ["One. ", "Two. ", "Three."]
    assert writer.asked == ["resp_1"]
    assert not writer.cancelled.is_set()
    assert client.numbers() == list(range(1, len(client.events) + 1))
    assert took_s < 0.5


async def test_audio_flows_through_a_death_at_any_moment(
    stage: Stage, pair: dict[int, subprocess.Popen[bytes]], server: Server
) -> None:
    listening = Listening(stage.blobs)
    async with stage.bus.serve("transcribe", TranscribeJob, listening, concurrency=4):
        client, _ = await stage.begin()
        first, _ = await holder(client, pair)
        for number in range(200):
            await client.line.write("audio", CHUNK)
            await asyncio.sleep(0.005)
            if number == 87:
                first.kill()
        await client.until("heard", count=8)
        _, position = await holder(client, pair)
    assert position == 200 * 640
    assert [event["item_id"] for event in client.told("committed")] == [f"item_{n * 16_000}" for n in range(8)]
    assert {event["text"] for event in client.told("heard")} == {"48000 bytes"}
    assert client.numbers() == list(range(1, len(client.events) + 1))
