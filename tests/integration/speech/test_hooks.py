from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from antiphon.bus import Work
from antiphon.schemas import Delivered, WebhookJob
from tests.eventually import eventually
from tests.integration.speech.conftest import Scene
from tests.integration.speech.test_batches import submit

pytestmark = pytest.mark.integration

V = {"api-version": "2025-10-15"}
HOOKS = "/speechtotext/webhooks"
HOOK: dict[str, Any] = {
    "displayName": "Mine",
    "webUrl": "http://127.0.0.1:9/hook",
    "events": {"transcriptionCreation": True, "transcriptionDeletion": True, "challenge": True},
    "properties": {"secret": "s3cret"},
}


@asynccontextmanager
async def deliveries(scene: Scene) -> AsyncIterator[list[WebhookJob]]:
    """Play the webhooks service: take what is to be delivered, deliver nothing."""
    taken: list[WebhookJob] = []

    async def take(job: WebhookJob, work: Work) -> Delivered:
        taken.append(job)
        return Delivered(status_code=200, duration_ms=1)

    async with scene.bus.serve("webhook", WebhookJob, take, concurrency=4):
        yield taken


async def register(scene: Scene, **changes: Any) -> dict[str, Any]:
    reply = await scene.client.post(HOOKS, params=V, json=HOOK | changes)
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    assert reply.headers["location"] == body["self"]
    return body


def id_of(hook: dict[str, Any]) -> str:
    return str(hook["self"]).rpartition("/")[2].partition("?")[0]


async def validate(scene: Scene, hook: dict[str, Any]) -> None:
    (endpoint,) = [
        each
        for owner in await tenants(scene)
        for each in await scene.platform.endpoints.list(owner)
        if each.id == id_of(hook)
    ]
    await scene.platform.endpoints.validate(endpoint.tenant, endpoint.id)


async def tenants(scene: Scene) -> list[str]:
    keys: list[Any] = await scene.bus.scripts.outbox.call("KEYS", "registry:endpoints:*")
    return [key.decode().rpartition(":")[2] for key in keys]


async def test_a_new_webhook_is_challenged_and_told_nothing_before_it_answers(scene: Scene) -> None:
    async with deliveries(scene) as taken:
        hook = await register(scene)
        assert hook["status"] == "NotStarted"
        (challenge,) = await eventually(lambda: taken)
        assert (challenge.event_type, challenge.endpoint) == ("challenge", id_of(hook))
        assert (await scene.client.post(hook["links"]["ping"])).status_code == 400
        await submit(scene.client, "anna")
        await validate(scene, hook)
        assert (await scene.client.get(hook["self"])).json()["status"] == "Succeeded"
        assert (await scene.client.post(hook["links"]["ping"])).status_code == 202
        await eventually(lambda: len(taken) > 1)
    assert [job.event_type for job in taken] == ["challenge", "ping"]
    assert orjson.loads(taken[1].body)["self"] == hook["self"]


async def test_creation_and_deletion_are_told(scene: Scene) -> None:
    async with deliveries(scene) as taken:
        await validate(scene, await register(scene))
        submitted = await submit(scene.client, "anna")
        await eventually(lambda: len(taken) == 2)
        assert (await scene.client.delete(submitted["self"])).status_code == 204
        await eventually(lambda: len(taken) == 3)
    _, created, deleted = taken
    assert (created.event_type, deleted.event_type) == ("transcriptionCreation", "transcriptionDeletion")
    told = orjson.loads(created.body)
    assert told["self"] == submitted["self"]
    assert (told["displayName"], told["status"]) == ("Calls", "NotStarted")


async def test_a_test_is_made_from_the_last_transcription(scene: Scene) -> None:
    async with deliveries(scene) as taken:
        hook = await register(scene)
        await validate(scene, hook)
        assert (await scene.client.post(hook["links"]["test"])).status_code == 204
        submitted = await submit(scene.client, "anna")
        await eventually(lambda: len(taken) == 2)
        assert (await scene.client.post(hook["links"]["test"])).status_code == 200
        await eventually(lambda: len(taken) == 4)
    assert {job.event_type for job in taken[2:]} == {"transcriptionCreation", "transcriptionDeletion"}
    assert orjson.loads(taken[3].body)["self"] == submitted["self"]


async def test_a_webhook_can_be_changed_and_deleted(scene: Scene) -> None:
    async with deliveries(scene) as taken:
        hook = await register(scene)
        await validate(scene, hook)
        renamed = await scene.client.patch(hook["self"], json={"displayName": "Other", "description": "D"})
        assert renamed.status_code == 200, renamed.text
        assert (renamed.json()["displayName"], renamed.json()["description"]) == ("Other", "D")
        assert renamed.json()["events"] == dict.fromkeys(HOOK["events"], True)
        assert renamed.json()["status"] == "Succeeded"
        moved = await scene.client.patch(hook["self"], json={"webUrl": "http://127.0.0.1:9/other"})
        assert moved.json()["status"] == "NotStarted"
        await eventually(lambda: len(taken) == 2)
    assert [job.event_type for job in taken] == ["challenge", "challenge"]
    listed = (await scene.client.get(HOOKS, params=V | {"filter": "displayName eq 'Other'"})).json()["values"]
    assert [each["self"] for each in listed] == [hook["self"]]
    assert (await scene.other.get(hook["self"])).status_code == 404
    assert (await scene.other.delete(hook["self"])).status_code == 404
    assert (await scene.client.delete(hook["self"])).status_code == 204
    assert (await scene.client.get(hook["self"])).json()["code"] == "NotFound"


async def test_a_wrong_registration_is_refused(scene: Scene) -> None:
    wrong: list[dict[str, Any]] = [{"webUrl": "https://10.0.0.1/x"}, {"events": {}}, {"displayName": None}]
    for changes in wrong:
        reply = await scene.client.post(HOOKS, params=V, json=HOOK | changes)
        assert (reply.status_code, reply.json()["code"]) == (400, "InvalidRequest")
