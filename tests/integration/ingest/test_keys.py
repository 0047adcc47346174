"""Keys that an operator has made, at a door that listens."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from antiphon.errors import InvalidValue
from antiphon.keys import Changes, Keys
from services.ingest.access.doorkeeper import require_somebody
from services.ingest.access.keyring import Keyring
from services.ingest.access.known_keys import FRESH_S
from tests.eventually import eventually
from tests.integration.ingest.conftest import Door, OpenDoor, Scribe, Serve
from tests.integration.ingest.key_holders import client_of, holding
from tests.integration.ingest.realtime_client import dial, receive, refused
from tests.integration.ingest.realtime_host import working
from tests.servers import Server

pytestmark = pytest.mark.integration

SOON_S = 8.0
"""A door asks again every second."""


async def test_a_key_opens_the_door_in_whichever_header_it_comes(door: Door) -> None:
    async with holding(door) as holder:
        for headers in (
            holder.bearer,
            {"api-key": holder.key},
            {"ocp-apim-subscription-key": holder.key},
        ):
            async with client_of(door, "sk-nobodys") as client:
                client.headers.pop("authorization")
                for path in ("/v1/models", "/openai/v1/models", "/openai/models?api-version=2024-10-21"):
                    assert (await client.get(path, headers=headers)).status_code == 200
                assert (await client.get("/speechtotext/v3.2/models/base", headers=headers)).status_code == 200


async def test_nothing_of_a_key_is_kept_but_its_digest(door: Door, server: Server) -> None:
    async with holding(door, rpm=5, at_once=5) as holder:
        assert (await holder.client.get("/v1/models")).status_code == 200
        everything = []
        for key in server.do("KEYS", "*"):
            everything += [key, server.do("DUMP", key)]
        assert holder.key.encode() not in b"".join(everything)
        assert holder.key.removeprefix("sk-antiphon-").encode() not in b"".join(everything)


async def test_a_revoked_key_is_refused_within_seconds_at_every_door(open_door: OpenDoor) -> None:
    async with open_door() as door, open_door() as other, holding(door) as holder:
        at_other = client_of(other, holder.key)
        assert (await holder.client.get("/v1/models")).status_code == 200
        assert (await at_other.get("/v1/models")).status_code == 200
        await Keys(door.bus).revoke(holder.record.id)

        async def refused_everywhere() -> bool:
            answers = [await client.get("/v1/models") for client in (holder.client, at_other)]
            return all(answer.status_code == 401 for answer in answers)

        await eventually(refused_everywhere, within_s=SOON_S)
        answer = await holder.client.get("/v1/models")
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert holder.key not in answer.text
        await at_other.aclose()


async def test_a_rotated_key_opens_for_its_grace_and_no_longer(door: Door) -> None:
    keys = Keys(door.bus)
    async with holding(door) as holder:
        record, key = await keys.rotate(holder.record.id, grace=timedelta(seconds=2))
        assert (record.id, record.tenant) == (holder.record.id, holder.record.tenant)
        async with client_of(door, key) as client:
            assert (await holder.client.get("/v1/models")).status_code == 200
            assert (await client.get("/v1/models")).status_code == 200

            async def old_is_refused() -> bool:
                return (await holder.client.get("/v1/models")).status_code == 401

            await eventually(old_is_refused, within_s=SOON_S)
            assert (await client.get("/v1/models")).status_code == 200
            _, newest = await keys.rotate(holder.record.id, grace=timedelta(0))
            async with client_of(door, newest) as newest_client:
                assert (await newest_client.get("/v1/models")).status_code == 200


async def test_a_key_expires(door: Door) -> None:
    async with holding(door, expires_at=door.bus.now_ms() // 1000 + 2) as holder:
        assert (await holder.client.get("/v1/models")).status_code == 200

        async def is_refused() -> bool:
            return (await holder.client.get("/v1/models")).status_code == 401

        await eventually(is_refused, within_s=SOON_S)


async def test_keys_of_one_tenant_see_the_same_jobs_and_others_none_of_them(door: Door) -> None:
    async with (
        holding(door, tenant="acme") as one,
        holding(door, tenant="acme") as two,
        holding(door, tenant="emca") as three,
    ):
        job = {"kind": "synthesize", "model": "tts-1", "input": "Hi.", "voice": "alloy"}
        made = (await one.client.post("/v1/jobs", json=job)).json()
        assert (await two.client.get(f"/v1/jobs/{made['id']}")).status_code == 200
        assert (await three.client.get(f"/v1/jobs/{made['id']}")).status_code == 404


async def test_keys_seen_lately_open_while_the_bus_is_away_and_others_are_told_to_come_back(
    open_door: OpenDoor, own_server: Server
) -> None:
    async with (
        open_door(bus={"redis_url": own_server.url}) as door,
        holding(door, rpm=1000) as holder,
        holding(door) as stranger,
    ):
        assert (await holder.client.get("/v1/models")).status_code == 200
        own_server.kill()
        try:
            # Longer than what is known of a key counts as fresh.
            await asyncio.sleep(FRESH_S + 0.1)
            for _ in range(3):
                assert (await holder.client.get("/v1/models")).status_code == 200
            assert (await door.client.get("/v1/models")).status_code == 200
            answer = await stranger.client.get("/v1/models")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
            assert answer.headers["retry-after"]
        finally:
            own_server.start()


async def test_guesses_and_the_operators_own_keys_cost_the_bus_nothing(door: Door, server: Server) -> None:
    async with client_of(door, "sk-guess-0123456789") as guesser:
        server.do("CONFIG", "RESETSTAT")
        for _ in range(20):
            assert (await guesser.get("/v1/models")).status_code == 401
            assert (await door.client.get("/v1/models")).status_code == 200
        seen = server.commands()
        assert not {name for name in seen if name in ("hget", "evalsha", "hset")}


async def test_a_key_in_use_is_asked_for_once_in_a_while(door: Door, server: Server) -> None:
    async with holding(door) as holder:
        await holder.client.get("/v1/models")
        server.do("CONFIG", "RESETSTAT")
        for _ in range(20):
            assert (await holder.client.get("/v1/models")).status_code == 200
        # Two to begin with, and two again after a second.
        assert server.commands().get("hget", 0) <= 8
        assert "evalsha" not in server.commands()


async def test_the_moment_of_use_is_kept(door: Door) -> None:
    async with holding(door) as holder:
        await holder.client.get("/v1/models")
        uses = await Keys(door.bus).uses()
        assert abs(uses[holder.record.id] - door.bus.now_ms() / 1000) < 5


async def test_a_key_uses_its_models_alone(door: Door, transcriber: Serve) -> None:
    scribe = Scribe()
    async with transcriber(door, scribe), holding(door, models=("whisper-1", "gpt-4o-mini-*")) as holder:
        assert (await holder.transcribe("whisper-1")).status_code == 200
        answer = await holder.transcribe("gpt-4o-transcribe")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_found")
        assert answer.json()["error"]["param"] == "model"
        assert "gpt-4o-transcribe" in answer.json()["error"]["message"]
        assert (await holder.transcribe("no-such-model")).status_code == 404
        listed = {model["id"] for model in (await holder.client.get("/v1/models")).json()["data"]}
        assert "whisper-1" in listed
        assert all(name == "whisper-1" or name.startswith("gpt-4o-mini-") for name in listed)
        assert (await holder.client.get("/v1/models/tts-1")).status_code == 404
        assert (await holder.client.get("/v1/models/whisper-1")).status_code == 200
        refusals = [
            await holder.client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hi.", "voice": "alloy"}),
            await holder.client.post("/v1/chat/completions", json={"model": "gpt-audio", "messages": []}),
            await holder.client.post("/v1/jobs", json={"kind": "synthesize", "model": "tts-1", "input": "Hi."}),
            await holder.client.post("/v1/realtime/client_secrets", json={"session": {"model": "gpt-realtime"}}),
            await holder.client.post(
                "/openai/deployments/tts-1/audio/speech?api-version=2024-10-21", json={"input": "Hi."}
            ),
        ]
        assert [(answer.status_code, answer.json()["error"]["code"]) for answer in refusals] == [
            (403, "model_not_found")
        ] * len(refusals)
        assert (await refused(door, headers=holder.bearer))[0] == 403
        base = (await holder.client.get("/speechtotext/v3.2/models/base")).json()["values"]
        assert {model["displayName"] for model in base} <= listed


async def test_what_a_listening_session_hears_with_is_a_model_of_its_key(door: Door) -> None:
    async with working(door.bus) as worker, holding(door, models=("whisper-1",)) as holder:
        async with dial(door, "/v1/realtime?intent=transcription", holder.bearer) as socket:
            session = (await receive(socket))["session"]
            assert session["audio"]["input"]["transcription"]["model"] == "whisper-1"
        assert (await worker.one()).job.models == ("whisper-1",)
        wanted = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
        answer = await holder.client.post("/v1/realtime/client_secrets", json={"session": wanted})
        assert answer.status_code == 403


async def test_work_gets_no_higher_priority_than_its_key(door: Door, transcriber: Serve, server: Server) -> None:
    seen: list[str] = []

    class Looking(Scribe):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            seen.append(work.priority)
            return await super().__call__(job, work)

    async with transcriber(door, Looking()), holding(door, priority="bulk") as holder:
        assert (await holder.transcribe()).status_code == 200
        assert seen == ["bulk"]
        job = {"kind": "synthesize", "model": "tts-1", "input": "Hi.", "voice": "alloy"}
        assert (await holder.client.post("/v1/jobs", json=job)).status_code == 202
        answer = await holder.client.post("/v1/jobs", json={**job, "priority": "std"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (403, "insufficient_permissions", "priority")


async def test_a_client_secret_ends_with_the_key_that_made_it(door: Door) -> None:
    async with working(door.bus), holding(door) as holder:
        made = (await holder.client.post("/v1/realtime/client_secrets", json={})).json()
        headers = {"authorization": f"Bearer {made['value']}"}
        async with dial(door, "/v1/realtime", headers) as socket:
            assert (await receive(socket))["type"] == "session.created"
        await Keys(door.bus).revoke(holder.record.id)

        async def is_refused() -> bool:
            try:
                return (await refused(door, "/v1/realtime", headers))[0] == 401
            except AssertionError:
                return False

        await eventually(is_refused, within_s=SOON_S)


async def test_a_change_holds_within_seconds(door: Door) -> None:
    async with holding(door) as holder:
        assert len((await holder.client.get("/v1/models")).json()["data"]) > 1
        await Keys(door.bus).update(holder.record.id, Changes(models=("whisper-1",)))

        async def is_narrower() -> bool:
            listed = (await holder.client.get("/v1/models")).json()["data"]
            return [model["id"] for model in listed] == ["whisper-1"]

        await eventually(is_narrower, within_s=SOON_S)


async def test_a_door_that_would_let_nobody_in_does_not_open(door: Door) -> None:
    keys = Keys(door.bus)
    with pytest.raises(InvalidValue, match="antiphon keys create"):
        await require_somebody(Keyring.parse(""), keys, None)
    await require_somebody(Keyring.parse("sk-one"), keys, None)
    record, _ = await keys.create(name="one")
    await require_somebody(Keyring.parse(""), keys, None)
    await keys.revoke(record.id)
    with pytest.raises(InvalidValue, match="ANTIPHON_API_KEYS"):
        await require_somebody(Keyring.parse(""), keys, None)
