from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.typing import Subprotocol

from tests.integration.ingest.conftest import Door, OpenDoor
from tests.integration.ingest.realtime_client import dial, receive, refused
from tests.integration.ingest.realtime_host import working
from tests.servers import Server

pytestmark = pytest.mark.integration

SESSION = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "Speak like a pirate.",
    "audio": {"output": {"voice": "ash"}},
}


async def secret_of(door: Door, path: str = "/v1/realtime/client_secrets", **body: Any) -> dict[str, Any]:
    answer = await door.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def browser(value: str) -> dict[str, Any]:
    return {"subprotocols": [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{value}")]}


async def test_a_secret_opens_the_session_that_it_was_made_for_again_and_again_at_every_replica(
    open_door: OpenDoor,
) -> None:
    async with open_door() as door, open_door() as other, working(door.bus) as worker:
        made = await secret_of(door, session=SESSION)
        assert made["value"].startswith("ek_")
        assert 590 <= made["expires_at"] - door.bus.now_ms() / 1000 <= 600
        shown = made["session"]
        assert (shown["object"], shown["expires_at"]) == ("realtime.session", 0)
        assert shown["instructions"] == "Speak like a pirate."
        ids = set()
        for number, at in enumerate((door, door, other)):
            async with dial(at, "/v1/realtime", None, **browser(made["value"])) as socket:
                session = (await receive(socket))["session"]
                assert socket.subprotocol == "realtime"
                assert session["instructions"] == "Speak like a pirate."
                assert session["audio"]["output"]["voice"] == "ash"
                assert session["expires_at"] > door.bus.now_ms() / 1000
                ids.add(session["id"])
                hosted = await worker.one(number)
                assert not hosted.job.locked
        assert len(ids) == 3


async def test_a_session_belongs_to_who_had_the_secret_made(door: Door) -> None:
    async with working(door.bus) as worker:
        made = await secret_of(door, session=SESSION)
        headers = {"authorization": f"Bearer {made['value']}"}
        async with dial(door, "/v1/realtime?model=gpt-realtime-mini", headers) as socket:
            assert (await receive(socket))["session"]["model"] == "gpt-realtime"
        async with dial(door) as socket:
            await receive(socket)
            assert (await worker.one(0)).job.tenant == (await worker.one(1)).job.tenant


async def test_a_locked_secret_opens_locked_sessions(door: Door) -> None:
    async with working(door.bus) as worker:
        made = await secret_of(door, session=SESSION, locked=True)
        async with dial(door, "/v1/realtime", None, **browser(made["value"])) as socket:
            await receive(socket)
            assert (await worker.one()).job.locked


async def test_a_secret_is_good_for_sessions_alone(door: Door) -> None:
    made = await secret_of(door)
    headers = {"authorization": f"Bearer {made['value']}"}
    for method, path in (
        ("GET", "/v1/models"),
        ("POST", "/v1/realtime/client_secrets"),
        ("POST", "/v1/chat/completions"),
    ):
        answer = await door.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    answer = await door.client.post("/v1/realtime/calls", headers=headers, content=b"v=0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "calls_not_served")


async def test_a_secret_expires_and_is_nowhere_to_be_read(door: Door, server: Server) -> None:
    made = await secret_of(door, expires_after={"anchor": "created_at", "seconds": 10}, session=SESSION)
    (key,) = server.do("KEYS", "client-secret:*")
    assert made["value"].encode() not in key + server.do("GET", key)
    assert 0 < server.do("PTTL", key) <= 10_000
    server.do("PEXPIRE", key, 1)
    await asyncio.sleep(0.05)
    status, error, _ = await refused(door, "/v1/realtime", None, **browser(made["value"]))
    assert (status, error["code"]) == (401, "invalid_api_key")


async def test_a_secret_may_be_for_listening(door: Door) -> None:
    wanted = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    async with working(door.bus):
        made = await secret_of(door, session=wanted)
        assert made["session"]["object"] == "realtime.transcription_session"
        async with dial(door, "/v1/realtime", None, **browser(made["value"])) as socket:
            session = (await receive(socket))["session"]
            assert session["type"] == "transcription"
            assert session["audio"]["input"]["transcription"]["model"] == "whisper-1"


async def test_a_secret_for_interpreting_opens_that_and_nothing_else(door: Door) -> None:
    wanted = {"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}}
    async with working(door.bus):
        made = await secret_of(door, "/v1/realtime/translations/client_secrets", session=wanted)
        assert (made["session"]["type"], made["session"]["audio"]["output"]) == ("translation", {"language": "es"})
        async with dial(door, "/v1/realtime/translations", None, **browser(made["value"])) as socket:
            session = (await receive(socket))["session"]
            assert session["audio"]["output"]["language"] == "es"
        status, error, _ = await refused(door, "/v1/realtime", None, **browser(made["value"]))
        assert (status, error["code"]) == (400, "invalid_value")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/realtime/sessions",
        "/openai/v1/realtime/sessions",
        "/openai/realtimeapi/sessions?api-version=2025-04-01-preview",
    ],
)
async def test_the_beta_has_its_own_shape_of_a_secret(door: Door, path: str) -> None:
    wanted = {"model": "gpt-4o-realtime-preview", "voice": "verse", "modalities": ["text"], "temperature": 0.7}
    async with working(door.bus):
        made = await secret_of(door, path, **wanted)
        assert (made["object"], made["voice"], made["temperature"]) == ("realtime.session", "verse", 0.7)
        assert made["modalities"] == ["text"]
        secret = made["client_secret"]
        assert 50 <= secret["expires_at"] - door.bus.now_ms() / 1000 <= 60
        offered = [*browser(secret["value"])["subprotocols"], Subprotocol("openai-beta.realtime-v1")]
        async with dial(door, "/v1/realtime", None, subprotocols=offered) as socket:
            session = (await receive(socket))["session"]
            assert (session["voice"], session["model"]) == ("verse", "gpt-4o-realtime-preview")


async def test_the_beta_has_secrets_for_listening_too(door: Door) -> None:
    made = await secret_of(
        door, "/v1/realtime/transcription_sessions", input_audio_transcription={"model": "whisper-1", "language": "en"}
    )
    assert made["object"] == "realtime.transcription_session"
    assert made["input_audio_transcription"]["model"] == "whisper-1"
    assert made["client_secret"]["value"].startswith("ek_")


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param"),
    [
        ("client_secrets", {"expires_after": {"seconds": 5}}, 400, "invalid_value", "expires_after.seconds"),
        ("client_secrets", {"expires_after": {"anchor": "now"}}, 400, "invalid_value", "expires_after.anchor"),
        ("client_secrets", {"session": 5}, 400, "invalid_value", "session"),
        ("client_secrets", {"session": {"type": "dance"}}, 400, "invalid_value", "session.type"),
        ("client_secrets", {"session": {"model": "nobody"}}, 404, "model_not_found", "model"),
        ("client_secrets", {"session": {"wings": 2}}, 400, "unknown_parameter", "session.wings"),
        ("client_secrets", {"locked": "yes"}, 400, "invalid_value", "locked"),
        ("sessions", {"voice": "nobody"}, 400, "invalid_value", "voice"),
        ("translations/client_secrets", {"session": {"tools": []}}, 400, "unknown_parameter", "session.tools"),
        ("calls", {}, 404, "calls_not_served", None),
        ("calls/rtc_1/accept", {}, 404, "calls_not_served", None),
    ],
)
async def test_a_request_that_cannot_be_met_says_where_it_is_wrong(
    door: Door, path: str, body: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    answer = await door.client.post(f"/v1/realtime/{path}", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
