from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from datetime import timedelta

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from tests.eventually import eventually
from tests.integration.ingest.conftest import Door, OpenDoor
from tests.integration.ingest.realtime_client import append, dial, receive, refused
from tests.integration.ingest.realtime_host import working
from tests.servers import Server

pytestmark = pytest.mark.integration


async def test_a_session_begins_with_its_whole_object(door: Door) -> None:
    async with working(door.bus) as worker, dial(door) as socket:
        created = await receive(socket)
        assert created["type"] == "session.created"
        session = created["session"]
        assert session["id"].startswith("sess_")
        assert (session["type"], session["model"]) == ("realtime", "gpt-realtime")
        assert session["audio"]["output"]["voice"] == "marin"
        assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200
        assert 3500 < session["expires_at"] - door.bus.now_ms() / 1000 < 3610
        hosted = await worker.one()
        assert hosted.job.id == session["id"]
        assert hosted.job.tenant.startswith("key-")
        assert not hosted.job.locked


async def test_a_listening_session_needs_no_model(door: Door) -> None:
    async with working(door.bus), dial(door, "/v1/realtime?intent=transcription") as socket:
        session = (await receive(socket))["session"]
        assert session["type"] == "transcription"
        assert session["audio"]["input"]["transcription"] == {"model": "gpt-4o-transcribe"}
    path = "/v1/realtime?intent=transcription&model=whisper-1"
    async with working(door.bus), dial(door, path) as socket:
        session = (await receive(socket))["session"]
        assert session["audio"]["input"]["transcription"] == {"model": "whisper-1"}


async def test_a_model_that_converses_is_not_made_to_listen_only(door: Door) -> None:
    async with working(door.bus), dial(door, "/v1/realtime?intent=transcription&model=gpt-realtime") as socket:
        assert (await receive(socket))["session"]["type"] == "realtime"


async def test_sound_crosses_the_door_unharmed_both_ways(door: Door) -> None:
    said, answered = [os.urandom(1921) for _ in range(50)], os.urandom(4800)
    async with working(door.bus) as worker, dial(door) as socket:
        await receive(socket)
        hosted = await worker.one()
        for part in said:
            await socket.send(append(part))
        await socket.send('{"type":"input_audio_buffer.commit"}')
        await eventually(lambda: "event" in hosted.kinds, within_s=5)
        assert hosted.sound == b"".join(said)
        assert orjson.loads(hosted.heard[-1].data) == {"type": "input_audio_buffer.commit"}
        await hosted.tell("response.output_audio.delta", audio=answered, item_id="item_1")
        event = await receive(socket)
        assert base64.b64decode(event["delta"]) == answered
        assert event["item_id"] == "item_1"


async def test_a_translation_session_is_spoken_to_in_its_own_events(door: Door) -> None:
    async with (
        working(door.bus) as worker,
        dial(door, "/v1/realtime/translations?model=gpt-realtime-translate") as socket,
    ):
        session = (await receive(socket))["session"]
        assert (session["type"], session["model"]) == ("translation", "gpt-realtime-translate")
        await socket.send('{"type":"session.input_audio_buffer.append","audio":"AAEC"}')
        await socket.send('{"type":"input_audio_buffer.append","audio":"AAEC"}')
        hosted = await worker.one()
        await eventually(lambda: len(hosted.heard) == 2, within_s=5)
        assert hosted.kinds == ["audio", "event"]


async def test_what_cannot_be_read_is_refused_in_its_place_and_the_session_goes_on(door: Door) -> None:
    large = base64.b64encode(bytes(15 * 2**20 + 3)).decode()
    wrong: list[tuple[str | bytes, str, str | None]] = [
        ("{", "invalid_json", None),
        ("[]", "invalid_event", None),
        (b"{}", "invalid_event", None),
        ('{"type":"input_audio_buffer.append","event_id":"e1"}', "missing_required_parameter", "audio"),
        ('{"type":"input_audio_buffer.append","event_id":"e1","audio":5}', "invalid_value", "audio"),
        ('{"type":"input_audio_buffer.append","event_id":"e1","audio":"A==="}', "invalid_value", "audio"),
        ('{"type":"input_audio_buffer.append","event_id":"e1","audio":"AA\\nAA"}', "invalid_value", "audio"),
        ('{"type":"input_audio_buffer.append","event_id":"e1","audio":"é"}', "invalid_value", "audio"),
        (f'{{"type":"input_audio_buffer.append","event_id":"e1","audio":"{large}"}}', "invalid_value", "audio"),
    ]
    async with working(door.bus) as worker, dial(door) as socket:
        await receive(socket)
        for message, code, param in wrong:
            await socket.send(message)
            event = await receive(socket)
            assert event["type"] == "error", event
            error = event["error"]
            assert (error["code"], error["param"]) == (code, param)
            assert error["type"] == "invalid_request_error"
            assert error["event_id"] == ("e1" if param else None)
        await socket.send(append(b"still here"))
        hosted = await worker.one()
        await eventually(lambda: hosted.sound == b"still here", within_s=5)


async def test_the_largest_append_is_taken(door: Door) -> None:
    sound = os.urandom(15 * 2**20)
    async with working(door.bus) as worker, dial(door) as socket:
        await receive(socket)
        await socket.send(append(sound))
        hosted = await worker.one()
        await eventually(lambda: len(hosted.sound) == len(sound), within_s=10)
        assert hosted.sound == sound


async def test_a_close_comes_behind_what_was_said_before(door: Door) -> None:
    async with working(door.bus) as worker, dial(door) as socket:
        await receive(socket)
        hosted = await worker.one()
        await hosted.tell("error", error={"code": "session_expired"})
        await hosted.close(1001, "Your session hit the maximum duration of 60 minutes.")
        assert (await receive(socket))["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert "60 minutes" in closed.value.rcvd.reason


async def test_a_worker_hears_that_the_client_has_left(door: Door) -> None:
    async with working(door.bus) as worker:
        async with dial(door) as socket:
            await receive(socket)
        hosted = await worker.one()
        await eventually(hosted.has_left, within_s=5)
        async with dial(door) as socket:
            await receive(socket)
            socket.transport.abort()
            await eventually((await worker.one(1)).has_left, within_s=5)


async def test_a_client_that_does_not_read_loses_its_session(open_door: OpenDoor) -> None:
    async with (
        open_door(realtime={"realtime_slow": timedelta(milliseconds=300)}) as door,
        working(door.bus) as worker,
        dial(door, max_queue=1, close_timeout=0.1) as socket,
    ):
        await receive(socket)
        hosted = await worker.one()
        socket.transport.pause_reading()
        for _ in range(40):
            await hosted.tell("response.output_audio.delta", audio=bytes(256 * 1024))
        await eventually(hosted.has_left, within_s=8)


async def test_a_session_that_nobody_takes_ends_with_a_word(open_door: OpenDoor) -> None:
    options = {"realtime_start": timedelta(milliseconds=300)}
    async with open_door(realtime=options) as door, working(door.bus, silent=True) as worker, dial(door) as socket:
        event = await receive(socket)
        assert (event["type"], event["error"]["type"]) == ("error", "server_error")
        with pytest.raises(ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        await eventually((await worker.one()).has_left, within_s=5)


async def test_a_session_whose_worker_fails_for_good_ends_with_a_word(open_door: OpenDoor) -> None:
    async with open_door(bus={"max_attempts": 1}) as door, working(door.bus, broken=True), dial(door) as socket:
        event = await receive(socket)
        assert (event["type"], event["error"]["type"]) == ("error", "server_error")
        with pytest.raises(ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011


async def test_a_session_that_the_bus_has_lost_ends_with_a_word(door: Door, server: Server) -> None:
    async with working(door.bus), dial(door) as socket:
        await receive(socket)
        await socket.send(append(b"ab"))
        await asyncio.sleep(0.1)
        server.do("FLUSHALL")
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await socket.send(append(b"ab"))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        event = await receive(socket)
                        assert event["error"]["code"] == "service_unavailable"
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011


async def test_a_door_that_stops_lets_conversations_go_on_and_then_says_goodbye(open_door: OpenDoor) -> None:
    async with (
        open_door(realtime={"realtime_grace": timedelta(seconds=1)}) as door,
        working(door.bus) as worker,
        dial(door) as socket,
    ):
        await receive(socket)
        hosted = await worker.one()
        door.stop.set()
        await asyncio.sleep(0.3)
        await socket.send(append(b"still talking"))
        await eventually(lambda: hosted.sound == b"still talking", within_s=0.6)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert "restarting" in closed.value.rcvd.reason
        await eventually(hosted.has_left, within_s=5)


async def test_a_full_door_says_so(open_door: OpenDoor) -> None:
    async with open_door(realtime={"realtime_sessions": 1}) as door, working(door.bus):
        async with dial(door) as socket:
            await receive(socket)
            status, error, headers = await refused(door)
            assert (status, error["code"]) == (429, "rate_limit_exceeded")
            assert int(headers["retry-after"]) >= 1

        async def let_in() -> bool:
            try:
                async with dial(door) as socket:
                    await receive(socket)
            except Exception:
                return False
            return True

        await eventually(let_in, within_s=5)


async def test_a_door_without_workers_says_so(door: Door) -> None:
    status, error, headers = await refused(door)
    assert (status, error["code"]) == (503, "service_unavailable")
    assert int(headers["retry-after"]) >= 1
    assert headers["x-request-id"].startswith("req_")


async def test_a_message_without_bounds_ends_the_connection_and_the_session(door: Door) -> None:
    async with working(door.bus) as worker, dial(door) as socket:
        await receive(socket)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.send(" " * (25 * 2**20))
            await receive(socket)
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        await eventually((await worker.one()).has_left, within_s=5)
