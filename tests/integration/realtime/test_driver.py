"""What a session brings about: everything once, in order, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import orjson
import pytest
import pytest_asyncio

from antiphon.schemas import ErrorInfo, Outcome, RealtimeJob, RespondJob, SynthesizeJob, TranscribeJob
from tests.eventually import eventually
from tests.integration.realtime.driver_scene import (
    Listening,
    Speaker,
    Stage,
    Writer,
    holding,
    open_stage,
    settings_for,
)
from tests.servers import Server

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def stage(server: Server) -> AsyncIterator[Stage]:
    async with open_stage(server.url) as stage, holding(settings_for(server.url)):
        yield stage


@pytest_asyncio.fixture
async def staff(stage: Stage) -> AsyncIterator[tuple[Listening, Writer, Speaker]]:
    listening, writer, speaker = Listening(stage.blobs), Writer(), Speaker()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stage.bus.serve("transcribe", TranscribeJob, listening, concurrency=4))
        await stack.enter_async_context(stage.bus.serve("respond", RespondJob, writer, concurrency=4))
        await stack.enter_async_context(stage.bus.serve("synthesize", SynthesizeJob, speaker, concurrency=4))
        yield listening, writer, speaker


async def ended(server: Server, job: RealtimeJob) -> Outcome:
    found = await eventually(lambda: server.do("GET", f"result:{{realtime}}:{job.id}"), within_s=10)
    return Outcome.model_validate_json(found)


async def test_every_second_of_audio_is_recognised_and_kept(
    stage: Stage, staff: tuple[Listening, Writer, Speaker]
) -> None:
    client, _ = await stage.begin()
    await client.append(60)
    await client.until("heard", count=2)
    heard = client.told("heard")
    assert [(event["item_id"], event["text"]) for event in heard] == [
        ("item_0", "48000 bytes"),
        ("item_16000", "48000 bytes"),
    ]
    assert len(client.told("heard.delta")) == 2
    assert client.numbers() == list(range(1, len(client.events) + 1))
    await client.send("retrieve", item_id="item_0", event_id="mine")
    found = await client.until("found")
    assert found["parts"]["0"][0] == 48_000
    assert found["of"] == "mine"


async def test_what_was_heard_before_the_format_changed_is_not_lost(
    stage: Stage, staff: tuple[Listening, Writer, Speaker]
) -> None:
    client, _ = await stage.begin()
    await client.append(10)
    await client.send("commit")
    await client.send("tune", format="audio/pcmu")
    await client.append(25, chunk=bytes(320))
    await client.until("heard", count=2)
    assert [event["text"] for event in client.told("heard")] == ["19200 bytes", "16000 bytes"]


async def test_an_answer_comes_piece_by_piece(stage: Stage, staff: tuple[Listening, Writer, Speaker]) -> None:
    client, _ = await stage.begin()
    await client.send("ask", id="resp_1", text="Count.")
    answered = await client.until("answered")
    assert [event["text"] for event in client.told("wrote")] == ["One. ", "Two. ", "Three."]
    assert answered["text"] == "One. Two. Three."


@pytest.mark.parametrize(("format", "a_second"), [("audio/pcm", 48_000), ("audio/pcmu", 8_000)])
async def test_what_is_said_arrives_whole_in_the_format_of_the_session(
    stage: Stage, staff: tuple[Listening, Writer, Speaker], format: str, a_second: int
) -> None:
    client, _ = await stage.begin(format=format)
    await client.send("say", id="resp_1", text="Hello.")
    await client.until("response.done")
    assert len(client.sound) == a_second
    if format == "audio/pcm":
        assert client.sound == staff[2].sound
    assert [event["characters"] for event in client.told("said_up_to")] == [0, 6]
    await client.send("retrieve", item_id="item_resp_1")
    found = await client.until("found")
    assert found["parts"]["0"] == [a_second, client.sound[:64].hex()]
    await client.send("cut", item_id="item_resp_1", end_ms=500)
    await client.send("retrieve", item_id="item_resp_1")
    assert (await client.until("found", count=2))["parts"]["0"][0] == a_second // 2


async def test_a_response_that_is_stopped_frees_its_worker_and_says_nothing_more(
    stage: Stage, staff: tuple[Listening, Writer, Speaker]
) -> None:
    _, writer, speaker = staff
    writer.held_at, speaker.held = 1, True
    client, _ = await stage.begin()
    await client.send("ask", id="resp_1", text="Count.")
    await client.send("say", id="resp_2", text="Hello.")
    await client.until("wrote")
    await client.until("response.output_audio.delta", count=3)
    await client.send("hush", id="resp_1")
    await client.send("hush", id="resp_2")
    await client.until("hushed", count=2)
    async with asyncio.timeout(5):
        await writer.cancelled.wait()
        await speaker.cancelled.wait()
    await client.send("echo")
    await client.until("echo")
    assert not client.told("answered") and not client.told("not_answered") and not client.told("not_said")


async def test_what_is_no_json_is_refused_and_the_session_goes_on(stage: Stage) -> None:
    client, _ = await stage.begin()
    await client.line.write("event", b"{")
    await client.line.write("event", b"[1]")
    refusal = {"error": ErrorInfo(message="No.", code="invalid_value").model_dump(), "event_id": "mine"}
    await client.line.write("refused", orjson.dumps(refusal))
    await client.send("echo", event_id="after")
    assert (await client.until("echo"))["of"] == "after"
    assert [event["code"] for event in client.told("refused")] == ["invalid_json", "invalid_json", "invalid_value"]


async def test_a_session_is_woken_when_it_wants(stage: Stage) -> None:
    client, _ = await stage.begin()
    await client.send("wake", ms=60)
    await client.send("wake", ms=30)
    await client.until("woke", within_s=2)
    await client.send("echo")
    await client.until("echo")
    assert len(client.told("woke")) == 1


async def test_a_fault_of_the_machine_concerns_one_event_of_one_session(stage: Stage) -> None:
    one, _ = await stage.begin()
    other, _ = await stage.begin()
    await one.send("break")
    await one.send("echo")
    error = (await one.until("error"))["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    await one.until("echo")
    await other.send("echo")
    await other.until("echo")
    assert not other.told("error")


async def test_a_session_that_only_fails_is_ended(stage: Stage, server: Server) -> None:
    client, job = await stage.begin()
    for _ in range(20):
        await client.send("break")
    assert (await client.until_closed())["code"] == 1011
    assert (await ended(server, job)).status == "completed"


async def test_a_session_that_no_worker_survives_is_ended(server: Server) -> None:
    settings = settings_for(server.url, realtime_lease=timedelta(seconds=0.2))
    async with open_stage(server.url) as stage, holding(settings):
        client, job = await stage.begin()
        await client.send("echo")
        await client.until("echo")
        await client.send("die")
        assert (await client.until_closed())["code"] == 1011
        assert client.told("error")[0]["error"]["type"] == "server_error"
        assert (await ended(server, job)).attempts == 6


async def test_without_a_worker_an_order_fails_at_once(stage: Stage) -> None:
    client, _ = await stage.begin()
    await client.send("ask", id="resp_1", text="Count.")
    assert (await client.until("not_answered", within_s=3))["code"] == "service_unavailable"


async def test_a_session_that_ends_leaves_nothing(
    stage: Stage, staff: tuple[Listening, Writer, Speaker], server: Server
) -> None:
    client, job = await stage.begin()
    await client.append(30)
    await client.until("heard")
    await client.send("say", id="resp_1", text="Hello.")
    await client.until("response.done")
    await client.send("end")
    assert await client.until_closed() == {"code": 1000, "reason": "as it was told"}
    outcome = await ended(server, job)
    assert outcome.result is not None
    assert outcome.result["heard_s"] == pytest.approx(1.2)
    assert outcome.result["spoken_s"] == pytest.approx(1.0)
    assert outcome.result["responses"] == 1
    left = [key.decode() for key in server.do("KEYS", "*") if job.id in key.decode()]
    assert [key for key in left if ":audio" in key or ":state" in key or ":in" in key] == []


async def test_a_client_that_leaves_ends_its_session_and_its_jobs(
    stage: Stage, staff: tuple[Listening, Writer, Speaker], server: Server
) -> None:
    _, writer, _ = staff
    writer.held_at = 1
    client, job = await stage.begin()
    await client.send("ask", id="resp_1", text="Count.")
    await client.until("wrote")
    await client.line.close("gone")
    outcome = await ended(server, job)
    assert outcome.result is not None and outcome.result["reason"] == "client_left"
    async with asyncio.timeout(5):
        await writer.cancelled.wait()


async def test_silence_is_trimmed_and_noted_without_a_word(stage: Stage, server: Server) -> None:
    client, job = await stage.begin()
    await client.until("session.created")
    key = f"session:{{realtime}}:{job.id}"
    for _ in range(90):
        await client.append(1)
        await asyncio.sleep(0.04)
    await client.send("where")
    await client.until("here")
    assert server.do("XLEN", f"{key}:in") < 80
