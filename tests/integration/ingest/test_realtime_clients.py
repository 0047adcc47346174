"""The official clients at the door."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest
from openai.types.beta.realtime import SessionCreatedEvent as BetaSessionCreated
from openai.types.realtime import SessionCreatedEvent, SessionUpdatedEvent

from tests.eventually import eventually
from tests.integration.ingest.conftest import KEY, Door
from tests.integration.ingest.realtime_client import url_of
from tests.integration.ingest.realtime_host import working

pytestmark = pytest.mark.integration


def client_of(door: Door, base: str = "/v1", **options: Any) -> openai.AsyncOpenAI:
    url = str(door.client.base_url).rstrip("/") + base
    given = {"api_key": KEY, "websocket_base_url": url_of(door, base)} | options
    return openai.AsyncOpenAI(base_url=url, max_retries=0, **given)


def azure_of(door: Door) -> openai.AsyncAzureOpenAI:
    return openai.AsyncAzureOpenAI(
        azure_endpoint=str(door.client.base_url),
        api_key=KEY,
        api_version="2025-04-01-preview",
        websocket_base_url=url_of(door, "/openai"),
        max_retries=0,
    )


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
async def test_the_official_client_holds_a_session(door: Door, base: str) -> None:
    async with (
        working(door.bus) as worker,
        client_of(door, base) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        created = await connection.recv()
        assert isinstance(created, SessionCreatedEvent)
        await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        updated = await connection.recv()
        assert isinstance(updated, SessionUpdatedEvent)
        assert updated.session.type == "realtime"
        assert updated.session.instructions == "Be brief."
        await connection.input_audio_buffer.append(audio=base64.b64encode(bytes(1920)).decode())
        hosted = await worker.one()
        await eventually(lambda: hosted.sound == bytes(1920), within_s=5)


async def test_the_official_client_listens(door: Door) -> None:
    async with (
        working(door.bus),
        client_of(door) as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        created = await connection.recv()
        assert isinstance(created, SessionCreatedEvent)
        assert created.session.type == "transcription"


async def test_the_official_client_interprets(door: Door) -> None:
    async with (
        working(door.bus),
        client_of(door) as client,
        client.realtime.translations.connect(model="gpt-realtime-translate") as connection,
    ):
        created = await connection.recv()
        assert created.type == "session.created"


async def test_the_official_client_of_the_beta_holds_a_session(door: Door) -> None:
    async with (
        working(door.bus),
        client_of(door) as client,
        client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection,
    ):
        created = await connection.recv()
        assert isinstance(created, BetaSessionCreated)
        await connection.session.update(session={"voice": "ash"})
        updated = await connection.recv()
        assert updated.type == "session.updated"
        assert updated.session.voice == "ash"


async def test_the_azure_client_holds_a_session_in_both_dialects(door: Door) -> None:
    async with working(door.bus), azure_of(door) as client:
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.recv()
            await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "ash"}}})
            updated = await connection.recv()
            assert isinstance(updated, SessionUpdatedEvent)
            assert updated.session.type == "realtime"
            assert updated.session.audio is not None
            assert updated.session.audio.output is not None
            assert updated.session.audio.output.voice == "ash"
        async with client.beta.realtime.connect(model="gpt-4o-realtime-preview") as old:
            assert isinstance(await old.recv(), BetaSessionCreated)
            await old.session.update(session={"voice": "sage"})
            assert (await old.recv()).session.voice == "sage"  # type: ignore[union-attr]


async def test_a_secret_that_the_official_client_had_made_is_a_key(door: Door) -> None:
    async with working(door.bus), client_of(door) as client, azure_of(door) as azure:
        made = await client.realtime.client_secrets.create(
            session={"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
        )
        also = await azure.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-realtime"})
        for value in (made.value, also.value):
            async with (
                client_of(door, api_key=value) as browser,
                browser.realtime.connect(model="gpt-realtime") as connection,
            ):
                assert isinstance(await connection.recv(), SessionCreatedEvent)
        old = await client.beta.realtime.sessions.create(model="gpt-4o-realtime-preview", voice="ash")
        assert (old.voice, old.client_secret.value[:3]) == ("ash", "ek_")


async def test_the_official_client_is_told_why_it_is_not_let_in(door: Door) -> None:
    from websockets.exceptions import InvalidStatus

    async with working(door.bus), client_of(door, api_key="sk-wrong-0123456789") as client:
        with pytest.raises(InvalidStatus) as refusal:
            async with client.realtime.connect(model="gpt-realtime"):
                pass
        assert refusal.value.response.status_code == 401
        assert b"invalid_api_key" in (refusal.value.response.body or b"")
