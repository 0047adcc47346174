"""Limits of keys, at doors that listen: what is refused, and what every answer says is left."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest

from antiphon.bus import Limits
from antiphon.errors import InvalidAudio
from antiphon.schemas import Meter
from services.ingest.access.limiter import Limiter
from services.ingest.access.principal import Grant
from tests.eventually import eventually
from tests.integration.ingest.conftest import Door, OpenDoor, Scribe, Serve
from tests.integration.ingest.key_holders import Holder, client_of, holding, wav
from tests.integration.ingest.realtime_client import append, dial, receive, refused
from tests.integration.ingest.realtime_host import working
from tests.servers import Server

pytestmark = pytest.mark.integration

SECOND = b"\0" * 48_000
"""Of PCM at 24 kHz."""


async def left(door: Door, holder: Holder) -> float:
    """Return the seconds of audio that a key has left."""
    limits = holder.record.limits
    standing = await door.bus.allowances.look(holder.record.id, limits)
    assert standing.audio is not None
    return standing.audio.remaining


async def charge(door: Door, holder: Holder, seconds: float) -> None:
    per_minute = holder.record.limits.audio_seconds_per_minute
    assert per_minute is not None
    await door.bus.allowances.charge(Meter(account=holder.record.id, seconds_per_minute=per_minute), seconds)


async def test_every_answer_says_what_is_left_and_the_last_one_when_there_is_more(door: Door) -> None:
    async with holding(door, rpm=3) as holder:
        for remaining in (2, 1, 0):
            answer = await holder.client.get("/v1/models")
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "3"
            assert answer.headers["x-ratelimit-remaining-requests"] == str(remaining)
            assert re.fullmatch(r"(\d+m)?[\d.]+s", answer.headers["x-ratelimit-reset-requests"])
        answer = await holder.client.get("/v1/models")
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (429, "requests", "rate_limit_exceeded")
        assert "Limit 3, Used 3, Requested 1" in error["message"]
        assert "'ci'" in error["message"]
        assert 19 <= int(answer.headers["retry-after"]) <= 20
        assert 18_000 <= int(answer.headers["retry-after-ms"]) <= 20_000
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        answer = await holder.client.get("/v1/no-such-thing")
        assert answer.status_code == 429


async def test_errors_say_what_is_left_too_and_keys_without_limits_say_nothing(door: Door) -> None:
    async with holding(door, rpm=30) as holder, holding(door, models=("whisper-1",)) as unlimited:
        answer = await holder.client.get("/v1/no-such-thing")
        assert (answer.status_code, answer.headers["x-ratelimit-remaining-requests"]) == (404, "29")
        for client in (unlimited.client, door.client):
            assert not [name for name in (await client.get("/v1/models")).headers if "ratelimit" in name]


async def test_azure_and_speech_have_their_own_words(door: Door) -> None:
    async with holding(door, rpm=1) as holder:
        assert (await holder.client.get("/openai/models?api-version=2024-10-21")).status_code == 200
        answer = await holder.client.get("/openai/models?api-version=2024-10-21")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "429")
        assert f"Please retry after {answer.headers['retry-after']} seconds." in answer.json()["error"]["message"]
        answer = await holder.client.get("/speechtotext/v3.2/models/base")
        assert (answer.status_code, answer.json()["code"]) == (429, "TooManyRequests")
        assert answer.headers["retry-after"]


async def test_limits_are_exact_at_several_doors_together(open_door: OpenDoor) -> None:
    async with open_door() as door, open_door() as other, holding(door, rpm=25) as holder:
        at_other = client_of(other, holder.key)
        answers = await asyncio.gather(
            *((holder.client if number % 2 else at_other).get("/v1/models") for number in range(60))
        )
        passed = [answer for answer in answers if answer.status_code == 200]
        assert 25 <= len(passed) <= 27
        assert {answer.status_code for answer in answers} == {200, 429}
        await at_other.aclose()


async def test_no_more_run_at_once_than_may_and_reading_goes_on(door: Door, transcriber: Serve) -> None:
    scribe = Scribe(held=True)
    async with transcriber(door, scribe), holding(door, at_once=2) as holder:
        running = [asyncio.create_task(holder.transcribe()) for _ in range(2)]
        await eventually(lambda: len(scribe.begun) == 2)
        answer = await holder.transcribe()
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert "concurrent requests: Limit 2, Running 2" in answer.json()["error"]["message"]
        assert answer.headers["retry-after"] == "1"
        assert (await holder.client.get("/v1/models")).headers["x-ratelimit-remaining-concurrency"] == "0"
        scribe.say(4)
        answers = await asyncio.gather(*running)
        assert [answer.status_code for answer in answers] == [200, 200]
        scribe.held = False
        assert (await holder.transcribe()).status_code == 200


async def test_a_client_that_hangs_up_leaves_its_place(door: Door, transcriber: Serve) -> None:
    scribe = Scribe(held=True)
    async with transcriber(door, scribe), holding(door, at_once=1) as holder:
        gone = asyncio.create_task(holder.transcribe())
        await eventually(lambda: bool(scribe.begun))
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        scribe.held = False

        async def is_free() -> bool:
            return (await holder.transcribe()).status_code == 200

        await eventually(is_free, within_s=10)


async def test_a_door_that_lives_keeps_the_places_of_what_runs_long_and_a_dead_one_does_not(door: Door) -> None:
    allowances = door.bus.allowances
    limits = Limits(concurrency=5)
    grant = Grant(account="key_1", limits=limits, key="key_1")
    dead = Limiter(allowances, hold_s=0.3)
    async with Limiter(allowances, hold_s=0.3, tick_s=0.05) as alive:
        async with dead.admitted(grant, works=True), alive.admitted(grant, works=True):
            assert (await allowances.look("key_1", limits)).running == 2

            async def one_is_left() -> bool:
                return (await allowances.look("key_1", limits)).running == 1

            await eventually(one_is_left, within_s=5)
            await asyncio.sleep(0.5)
            assert await one_is_left()
        assert (await allowances.look("key_1", limits)).running == 0


async def test_a_refusal_reads_no_body(door: Door) -> None:
    async with holding(door, rpm=1) as holder:
        await holder.client.get("/v1/models")
        host, port = str(door.client.base_url.host), door.client.base_url.port
        reader, writer = await asyncio.open_connection(host, port)
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {holder.key}\r\n"
        writer.write(
            head.encode() + b"content-type: multipart/form-data; boundary=x\r\ncontent-length: 20000000\r\n\r\n"
        )
        async with asyncio.timeout(5):
            assert b" 429 " in await reader.readline()
        writer.close()


async def test_what_is_heard_is_told_of_at_the_head_of_its_own_answer(door: Door, transcriber: Serve) -> None:
    async with transcriber(door, Scribe()), holding(door, audio=60) as holder:
        # Two seconds each, as the scribe says.
        for heard in (2, 4):
            answer = await holder.transcribe()
            assert answer.status_code == 200
            assert await left(door, holder) < 60 - heard + 1
        assert answer.headers["x-ratelimit-limit-audio-seconds"] == "60"
        answer = await holder.transcribe(model="gpt-4o-transcribe", stream="true")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert await left(door, holder) < 60 - 5


async def test_audio_that_is_overdrawn_is_refused_until_it_has_come_back(door: Door, transcriber: Serve) -> None:
    async with transcriber(door, Scribe()), holding(door, audio=600) as holder:
        await charge(door, holder, 605)
        answer = await holder.transcribe()
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (429, "audio_seconds", "rate_limit_exceeded")
        assert answer.headers["x-ratelimit-remaining-audio-seconds"] == "0"
        wait_s = int(answer.headers["retry-after-ms"]) / 1000
        assert 0 < wait_s <= 0.6
        # What has been made can be read all the same.
        assert (await holder.client.get("/v1/jobs")).status_code == 200
        await asyncio.sleep(wait_s + 0.05)
        assert (await holder.transcribe()).status_code == 200


async def test_audio_of_jobs_is_counted_when_they_are_done(door: Door, transcriber: Serve, synthesizer: Serve) -> None:
    scribe = Scribe()
    async with (
        transcriber(door, scribe),
        synthesizer(door, None),
        holding(door, audio=600) as holder,
    ):
        reply = await holder.client.post(
            "/v1/jobs", files={"file": ("a.wav", wav(), "audio/wav")}, data={"kind": "transcribe", "model": "whisper-1"}
        )
        assert reply.status_code == 202
        spoken = {"kind": "synthesize", "model": "tts-1", "input": "Hi.", "voice": "alloy"}
        assert (await holder.client.post("/v1/jobs", json=[spoken, spoken])).status_code == 202

        async def is_counted() -> bool:
            return 595.9 <= await left(door, holder) < 599.5

        await eventually(is_counted, within_s=10)
        scribe.error = InvalidAudio("The file is no audio.")
        before = await left(door, holder)
        assert (await holder.transcribe()).status_code == 400
        assert await left(door, holder) >= before


async def test_a_session_is_one_request_and_one_place(door: Door, server: Server) -> None:
    async with working(door.bus), holding(door, rpm=30, at_once=1) as holder:
        async with dial(door, headers=holder.bearer) as socket:
            assert (await receive(socket))["type"] == "session.created"
            assert socket.response.headers["x-ratelimit-remaining-requests"] == "29"
            assert socket.response.headers["x-ratelimit-remaining-concurrency"] == "0"
            status, error, headers = await refused(door, headers=holder.bearer)
            assert (status, error["code"]) == (429, "rate_limit_exceeded")
            assert headers["retry-after"] == "1"
        await eventually(lambda: not server.do("EXISTS", f"limits:{{{holder.record.id}}}:running"), within_s=5)
        async with dial(door, headers=holder.bearer) as socket:
            assert (await receive(socket))["type"] == "session.created"


async def test_live_audio_is_counted_both_ways_while_it_flows(door: Door) -> None:
    async with working(door.bus) as worker, holding(door, audio=600) as holder:
        async with dial(door, headers=holder.bearer) as socket:
            await receive(socket)
            hosted = await worker.one()
            for _ in range(3):
                await socket.send(append(SECOND))
            await hosted.tell("response.output_audio.delta", audio=SECOND * 2)
            assert (await receive(socket))["delta"]

            async def is_counted() -> bool:
                return 594.9 <= await left(door, holder) < 597

            # While the session still is open.
            await eventually(is_counted, within_s=5)
            await hosted.tell("rate_limits.updated", rate_limits=[])
            (told,) = (await receive(socket))["rate_limits"]
            assert (told["name"], told["limit"]) == ("audio_seconds", 600)
            assert 590 <= told["remaining"] <= 600
        await eventually(hosted.has_left, within_s=5)


async def test_a_session_that_runs_dry_is_told_so_once_and_goes_on_when_there_is_more(
    door: Door, server: Server
) -> None:
    async with (
        working(door.bus) as worker,
        holding(door, audio=600) as holder,
        dial(door, headers=holder.bearer) as socket,
    ):
        await receive(socket)
        hosted = await worker.one()
        await charge(door, holder, 601)
        await socket.send(append(SECOND))

        async def talk_until_told() -> dict[str, Any] | None:
            await socket.send(append(SECOND))
            try:
                async with asyncio.timeout(0.1):
                    event: dict[str, Any] = orjson.loads(await socket.recv())
                    return event
            except TimeoutError:
                return None

        told = await eventually(talk_until_told, within_s=10)
        assert (told["type"], told["error"]["code"]) == ("error", "rate_limit_exceeded")
        assert told["error"]["type"] == "audio_seconds"
        heard = len(hosted.sound)
        for _ in range(5):
            await socket.send(append(SECOND))
        await socket.send(orjson.dumps({"type": "session.update", "session": {"type": "realtime"}}).decode())
        # No second error comes before this.
        assert (await receive(socket))["type"] == "session.updated"
        assert len(hosted.sound) == heard
        # As if the time had passed in which all of it comes back.
        server.do("DEL", f"limits:{{{holder.record.id}}}:level")

        async def is_heard_again() -> bool:
            await socket.send(append(SECOND))
            return len(hosted.sound) > heard

        await eventually(is_heard_again, within_s=10)


async def test_a_client_secret_draws_on_the_limits_of_its_key(door: Door) -> None:
    async with working(door.bus), holding(door, rpm=2) as holder:
        made = (await holder.client.post("/v1/realtime/client_secrets", json={})).json()
        headers = {"authorization": f"Bearer {made['value']}"}
        async with dial(door, "/v1/realtime", headers) as socket:
            await receive(socket)
        status, error, _ = await refused(door, "/v1/realtime", headers)
        assert (status, error["code"]) == (429, "rate_limit_exceeded")
        assert (await holder.client.get("/v1/models")).status_code == 429
