from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.eventually import eventually
from tests.integration.ingest.conftest import KEY, Door, OpenDoor
from tests.integration.ingest.realtime_client import BEARER, append, dial, receive, refused
from tests.integration.ingest.realtime_host import working

pytestmark = pytest.mark.integration

PREVIEW = "/openai/realtime?api-version=2025-04-01-preview&deployment=gpt-4o-realtime-preview"
BETA = {"openai-beta": "realtime=v1"}


@pytest.mark.parametrize(
    ("query", "headers", "subprotocols"),
    [
        ("", BEARER, []),
        ("", {"api-key": KEY}, []),
        (f"&api-key={KEY}", None, []),
        (f"&API-Key={KEY}", None, []),
        (f"&Authorization=Bearer%20{KEY}", None, []),
        ("", None, ["realtime", f"openai-insecure-api-key.{KEY}"]),
    ],
)
async def test_a_key_may_come_in_any_of_its_places(
    door: Door, query: str, headers: dict[str, str] | None, subprotocols: list[str]
) -> None:
    offered = [Subprotocol(name) for name in subprotocols]
    path = f"/v1/realtime?model=gpt-realtime{query}"
    async with working(door.bus), dial(door, path, headers, subprotocols=offered or None) as socket:
        assert (await receive(socket))["type"] == "session.created"
        assert socket.subprotocol == ("realtime" if offered else None)


async def test_a_key_is_never_written_down(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.client").setLevel(logging.INFO)
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
    path = f"/v1/realtime?model=gpt-realtime&api-key={KEY}&Authorization=Bearer%20{KEY}"
    async with working(door.bus), dial(door, path, BEARER, subprotocols=offered) as socket:
        await receive(socket)
        await socket.send(append(b"ab"))
    await refused(door, "/v1/realtime?model=nobody&api-key=sk-wrong-9876543210", None)
    assert "/v1/realtime 101" in caplog.text
    assert "/v1/realtime 401" in caplog.text
    assert KEY not in caplog.text
    assert "sk-wrong-9876543210" not in caplog.text


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/v1/realtime?model=gpt-realtime", None, 401, "invalid_api_key"),
        ("/v1/realtime?model=gpt-realtime", {"authorization": "Bearer sk-wrong"}, 401, "invalid_api_key"),
        ("/v1/realtime?model=gpt-realtime", {"authorization": "Bearer ek_wrong"}, 401, "invalid_api_key"),
        (PREVIEW, {"api-key": "wrong"}, 401, "401"),
        ("/v1/realtime?model=nobody", BEARER, 404, "model_not_found"),
        ("/v1/realtime?model=whisper-1", BEARER, 404, "model_not_found"),
        ("/openai/realtime?api-version=2025-04-01-preview&deployment=nobody", BEARER, 404, "DeploymentNotFound"),
        ("/openai/realtime?deployment=gpt-realtime", BEARER, 404, "404"),
        ("/v1/realtime/translations?model=gpt-realtime", BEARER, 404, "model_not_found"),
        ("/v1/realtime/translations", BEARER, 400, "missing_required_parameter"),
        ("/v1/realtime", BEARER, 400, "missing_required_parameter"),
        ("/v1/realtime?intent=dancing", BEARER, 400, "invalid_value"),
        ("/v1/realtime?call_id=rtc_1", BEARER, 404, "calls_not_served"),
        ("/v1/nowhere", BEARER, 404, None),
    ],
)
async def test_what_cannot_be_had_is_refused_before_the_upgrade(
    door: Door, path: str, headers: dict[str, str] | None, status: int, code: str | None
) -> None:
    async with working(door.bus):
        answered, error, told = await refused(door, path, headers)
    assert (answered, error["code"]) == (status, code)
    assert told["content-type"] == "application/json"
    if status == 401 and code != "401":
        assert "sk-wrong" not in error["message"]


@pytest.mark.parametrize("path", ["/v1/realtime", "/openai/v1/realtime", "/openai/realtime"])
async def test_every_url_works_behind_a_prefix(open_door: OpenDoor, path: str) -> None:
    async with (
        open_door(path_prefix="/voice") as door,
        working(door.bus),
        dial(door, f"/voice{path}?model=gpt-realtime&api-version=2025-04-01-preview") as socket,
    ):
        assert (await receive(socket))["type"] == "session.created"


async def test_plain_http_is_told_to_upgrade(door: Door) -> None:
    answer = await door.client.get("/v1/realtime?model=gpt-realtime")
    assert answer.status_code == 426
    assert "WebSocket" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "headers", "subprotocols"),
    [
        ("/v1/realtime?model=gpt-4o-realtime-preview", BETA, []),
        ("/v1/realtime?model=gpt-4o-realtime-preview", {}, ["realtime", "openai-beta.realtime-v1"]),
        (PREVIEW, {}, []),
    ],
)
async def test_a_client_of_the_beta_is_spoken_to_in_its_dialect(
    door: Door, path: str, headers: dict[str, str], subprotocols: list[str]
) -> None:
    offered = [Subprotocol(name) for name in subprotocols] or None
    async with working(door.bus) as worker, dial(door, path, BEARER | headers, subprotocols=offered) as socket:
        session = (await receive(socket))["session"]
        assert session["modalities"] == ["audio", "text"] or session["modalities"] == ["text", "audio"]
        assert session["input_audio_format"] == "pcm16"
        await socket.send('{"type":"session.update","session":{"voice":"ash","temperature":0.7}}')
        updated = (await receive(socket))["session"]
        assert (updated["voice"], updated["temperature"]) == ("ash", 0.7)
        hosted = await worker.one()
        asked = orjson.loads(hosted.heard[0].data)["session"]
        assert asked["audio"]["output"]["voice"] == "ash"
        await hosted.tell("response.output_audio.delta", audio=b"abc", item_id="item_1")
        delta = await receive(socket)
        assert (delta["type"], delta["delta"]) == ("response.audio.delta", "YWJj")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}},
        {"type": "response.create", "response": {"output_modalities": ["text"]}},
    ],
)
async def test_a_client_of_the_present_dialect_at_the_url_of_the_preview_is_known_by_its_words(
    door: Door, event: dict[str, Any]
) -> None:
    async with working(door.bus) as worker, dial(door, PREVIEW) as socket:
        await receive(socket)
        await socket.send(orjson.dumps(event).decode())
        hosted = await worker.one()
        if event["type"] == "session.update":
            assert (await receive(socket))["session"]["audio"]["output"]["voice"] == "marin"
        await socket.send(append(b"ab"))
        while "audio" not in hosted.kinds:
            await hosted.tell("response.output_text.delta", delta="x")
            assert (await receive(socket))["type"] == "response.output_text.delta"


async def test_a_connection_that_is_marked_as_beta_stays_so_whatever_it_says(door: Door) -> None:
    async with working(door.bus) as worker, dial(door, PREVIEW, BEARER | BETA) as socket:
        await receive(socket)
        await socket.send('{"type":"response.create","response":{"output_modalities":["text"]}}')
        hosted = await worker.one()
        await eventually(lambda: hosted.heard, within_s=5)
        await hosted.tell("response.output_text.delta", delta="x")
        # A word that the beta does not know may be refused first.
        while (event := await receive(socket))["type"] == "error":
            continue
        assert event["type"] == "response.text.delta"


async def test_the_beta_can_be_switched_off(open_door: OpenDoor) -> None:
    path = "/v1/realtime?model=gpt-realtime"
    async with open_door(realtime={"realtime_beta": False}) as door, working(door.bus):
        async with dial(door, path, BEARER | BETA) as socket:
            error = (await receive(socket))["error"]
            assert (error["type"], error["code"]) == ("invalid_request_error", "beta_api_shape_disabled")
            with pytest.raises(ConnectionClosed) as closed:
                await receive(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4000
            assert closed.value.rcvd.reason == "invalid_request_error.beta_api_shape_disabled"
        async with dial(door, PREVIEW) as socket:
            assert "audio" in (await receive(socket))["session"]
        answer = await door.client.post("/v1/realtime/sessions", json={"model": "gpt-realtime"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "beta_api_shape_disabled")
