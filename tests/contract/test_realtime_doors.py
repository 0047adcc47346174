"""The ways into a session: OpenAI's and Azure's URLs, both dialects, every place for a key, and client secrets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import openai
import orjson
import pytest
import pytest_asyncio
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.contract.chat_talk import misheard
from tests.contract.conftest import API_VERSION, Served
from tests.contract.realtime_client import talking
from tests.contract.realtime_models import ECHO
from tests.contract.realtime_sounds import spoken_turn
from tests.realtime_events import check_event

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120), pytest.mark.usefixtures("upstream")]

REALTIME = Subprotocol("realtime")


@pytest_asyncio.fixture
async def azure_realtime(platform: Served) -> AsyncIterator[openai.AsyncAzureOpenAI]:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=platform.root_url,
        websocket_base_url=f"{platform.root_url}/openai".replace("http", "ws", 1),
        api_key=platform.api_key,
        api_version=API_VERSION,
        max_retries=0,
    ) as opened:
        yield opened


def dial(
    platform: Served, path: str, headers: Mapping[str, str] | None = None, *, subprotocols: list[str] | None = None
) -> connect:
    """Open a socket without any SDK."""
    offered = [Subprotocol(name) for name in subprotocols] if subprotocols else None
    url = f"{platform.root_url}{path}".replace("http", "ws", 1)
    return connect(url, subprotocols=offered, additional_headers=headers or {}, max_size=None, proxy=None)


async def received(socket: ClientConnection) -> dict[str, Any]:
    """Return the next event."""
    event: dict[str, Any] = orjson.loads(await socket.recv(decode=False))
    return event


async def answered(socket: ClientConnection, text: str) -> dict[str, Any]:
    """Ask something in text and return the response, every event on the way held to the SDK's types."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await socket.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
    while True:
        event = await received(socket)
        check_event(event)
        assert event["type"] != "error", event
        if event["type"] == "response.done":
            return cast("dict[str, Any]", event["response"])


async def test_azures_client_speaks_ga_at_the_url_of_the_preview(azure_realtime: openai.AsyncAzureOpenAI) -> None:
    async with talking(azure_realtime, ECHO, opens="beta") as talk:
        assert (await talk.until("session.created"))["session"]["model"] == ECHO
        updated = (await talk.update(output_modalities=["text"]))["session"]
        assert updated["output_modalities"] == ["text"]
        await talk.say("Hello, Azure.")
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
    assert talk.text(done["id"]) == "You said: Hello, Azure."


async def test_azures_client_speaks_beta_there_too(azure_realtime: openai.AsyncAzureOpenAI, clips: Path) -> None:
    async with talking(azure_realtime, ECHO, dialect="beta") as talk:
        created = (await talk.until("session.created"))["session"]
        detection = {"type": "server_vad", "silence_duration_ms": 400}
        transcription = {"model": "whisper-1"}
        await talk.send(
            "session.update", session={"turn_detection": detection, "input_audio_transcription": transcription}
        )
        session = (await talk.until("session.updated"))["session"]
        await talk.hear(spoken_turn(clips / "en/hello_world.wav"), pace=3)
        done = (await talk.until("response.done"))["response"]
        await talk.find("conversation.item.input_audio_transcription.completed")
        kinds = set(talk.types())
    assert created["modalities"] in (["text", "audio"], ["audio", "text"])
    assert (session["input_audio_format"], session["turn_detection"]["silence_duration_ms"]) == ("pcm16", 400)
    assert {"conversation.item.created", "response.audio.delta", "response.audio_transcript.done"} <= kinds
    assert not {kind for kind in kinds if "output_audio" in kind or kind.startswith("conversation.item.added")}
    (part,) = done["output"][0]["content"]
    assert part["type"] == "audio"
    assert misheard("You said: Hello world.", part["transcript"]) == 0
    assert len(talk.sound(done["id"])) > 24_000


async def test_azures_own_url_is_like_openais(platform: Served) -> None:
    path = f"/openai/v1/realtime?model={ECHO}"
    async with dial(platform, path, {"api-key": platform.api_key}) as socket:
        check_event(await received(socket))
        done = await answered(socket, "Hello.")
    assert done["output"][0]["content"][0]["text"] == "You said: Hello."


@pytest.mark.parametrize("place", ["bearer", "api-key", "query", "Query", "bearer in query", "subprotocol"])
async def test_a_key_is_taken_wherever_clients_put_it(platform: Served, place: str) -> None:
    key, path = platform.api_key, f"/v1/realtime?model={ECHO}"
    ways: dict[str, tuple[str, dict[str, str], list[str] | None]] = {
        "bearer": (path, {"Authorization": f"Bearer {key}"}, None),
        "api-key": (path, {"api-key": key}, None),
        "query": (f"{path}&api-key={key}", {}, [REALTIME]),
        "Query": (f"{path}&Api-Key={key}", {}, None),
        "bearer in query": (f"{path}&Authorization=Bearer%20{key}", {}, [REALTIME]),
        "subprotocol": (path, {}, [REALTIME, f"openai-insecure-api-key.{key}", "openai-agents-sdk.0.20.0"]),
    }
    url, headers, subprotocols = ways[place]
    async with dial(platform, url, headers, subprotocols=subprotocols) as socket:
        assert socket.subprotocol == (REALTIME if subprotocols else None)
        created = await received(socket)
        check_event(created)
    assert created["session"]["model"] == ECHO
    assert key not in json.dumps(created)


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (f"/v1/realtime?model={ECHO}", {}, 401, "invalid_api_key"),
        (f"/v1/realtime?model={ECHO}", {"Authorization": "Bearer sk-wrong"}, 401, "invalid_api_key"),
        (f"/v1/realtime?model={ECHO}", {"Authorization": "Bearer ek_0123456789"}, 401, "invalid_api_key"),
        ("/v1/realtime?model=nobody", None, 404, "model_not_found"),
        ("/v1/realtime", None, 400, None),
        ("/openai/realtime?deployment=nobody&api-version=2025-04-01-preview", None, 404, "DeploymentNotFound"),
    ],
)
async def test_who_may_not_come_in_is_told_why(
    platform: Served, path: str, headers: dict[str, str] | None, status: int, code: str | None
) -> None:
    sent = {"Authorization": f"Bearer {platform.api_key}"} if headers is None else headers
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with dial(platform, path, sent):
            pass
    response = refused.value.response
    assert response.status_code == status
    error = orjson.loads(response.body or b"")["error"]
    assert error["message"]
    assert code is None or error["code"] == code


async def test_beta_is_chosen_by_header_or_subprotocol(platform: Served) -> None:
    path, key = f"/v1/realtime?model={ECHO}", platform.api_key
    async with dial(platform, path, {"Authorization": f"Bearer {key}", "OpenAI-Beta": "realtime=v1"}) as socket:
        check_event(await received(socket), dialect="beta")
    offered = [REALTIME, f"openai-insecure-api-key.{key}", "openai-beta.realtime-v1"]
    async with dial(platform, path, subprotocols=offered) as socket:
        assert socket.subprotocol == REALTIME
        check_event(await received(socket), dialect="beta")


async def test_a_secret_brings_its_session_along(realtime: openai.AsyncOpenAI, platform: Served) -> None:
    secret = await realtime.realtime.client_secrets.create(
        session={"type": "realtime", "model": ECHO, "instructions": "Be brief.", "output_modalities": ["text"]},
        expires_after={"anchor": "created_at", "seconds": 60},
    )
    assert secret.value.startswith("ek_")
    path, offered = "/v1/realtime", [REALTIME, f"openai-insecure-api-key.{secret.value}"]
    ids = set()
    for _ in range(2):
        async with dial(platform, f"{path}?model={ECHO}", subprotocols=offered) as socket:
            assert socket.subprotocol == REALTIME
            session = (await received(socket))["session"]
            assert (session["instructions"], session["output_modalities"]) == ("Be brief.", ["text"])
            assert session["model"] == ECHO
            ids.add(session["id"])
            update = {"type": "realtime", "instructions": "Be long."}
            await socket.send(json.dumps({"type": "session.update", "session": update}))
            assert (await received(socket))["session"]["instructions"] == "Be long."
            done = await answered(socket, "Hello.")
            assert done["status"] == "completed"
    assert len(ids) == 2


async def test_a_locked_secret_keeps_its_session_from_the_browser(http: httpx.Client, platform: Served) -> None:
    body = {"locked": True, "session": {"type": "realtime", "model": ECHO, "instructions": "Be brief."}}
    reply = http.post("/v1/realtime/client_secrets", json=body)
    assert reply.status_code == 200, reply.text
    offered = [REALTIME, f"openai-insecure-api-key.{reply.json()['value']}"]
    async with dial(platform, f"/v1/realtime?model={ECHO}", subprotocols=offered) as socket:
        await received(socket)
        update = {"type": "realtime", "instructions": "Tell me your secrets."}
        await socket.send(json.dumps({"type": "session.update", "event_id": "mine", "session": update}))
        error = (await received(socket))["error"]
        assert (error["code"], error["event_id"]) == ("session_locked", "mine")
        assert (await answered(socket, "Hello."))["status"] == "completed"


async def test_a_beta_client_gets_its_secret_in_its_own_shape(http: httpx.Client, platform: Served) -> None:
    reply = http.post("/v1/realtime/sessions", json={"model": ECHO, "voice": "alloy", "modalities": ["text"]})
    assert reply.status_code == 200, reply.text
    session = reply.json()
    assert (session["voice"], session["modalities"], session["object"]) == ("alloy", ["text"], "realtime.session")
    secret = session["client_secret"]["value"]
    offered = [REALTIME, f"openai-insecure-api-key.{secret}", "openai-beta.realtime-v1"]
    async with dial(platform, f"/v1/realtime?model={ECHO}", subprotocols=offered) as socket:
        created = await received(socket)
        check_event(created, dialect="beta")
    assert created["session"]["modalities"] == ["text"]
    heard = http.post("/v1/realtime/transcription_sessions", json={"input_audio_transcription": {"model": "whisper-1"}})
    assert heard.status_code == 200, heard.text
    assert heard.json()["client_secret"]["value"].startswith("ek_")
