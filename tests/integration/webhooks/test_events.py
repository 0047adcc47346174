"""From the end of a job to a signed POST."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.bus import Bus, Caller
from antiphon.errors import InvalidValue, NotFound
from antiphon.schemas import BatchRecord, WebhookTarget
from antiphon.telemetry.health import Health
from antiphon.webhooks import MAX_ENDPOINTS, Deliveries, Dialect, Endpoint, Endpoints
from services.webhooks.following import Follower
from services.webhooks.settings import WebhookSettings
from tests.eventually import eventually
from tests.integration.webhooks.conftest import make_job, sending
from tests.integration.webhooks.receiver import Answer, Delivery, in_turn, receiving
from tests.servers import Server

pytestmark = pytest.mark.integration


async def register(endpoints: Endpoints, url: str, *event_types: str, tenant: str = "t") -> Endpoint:
    return await endpoints.create(tenant, name="mine", url=url, event_types=event_types or ("job.completed",))


async def test_a_completed_job_is_told_with_a_signature(
    settings: WebhookSettings, caller: Caller, endpoints: Endpoints
) -> None:
    async with receiving() as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        job = make_job(metadata={"order": "17"})
        await caller.publish(job)
        await eventually(lambda: receiver.deliveries)
        (delivery,) = receiver.deliveries
        assert endpoint.secret
        assert delivery.is_signed_with(endpoint.secret)
        assert delivery.event["type"] == "job.completed"
        assert delivery.event["id"] == delivery.id
        data = delivery.event["data"]
        assert (data["id"], data["metadata"], data["result"]["text"]) == (job.id, {"order": "17"}, "Hello.")


async def test_a_failed_job_is_told_to_who_wants_failures_only(
    settings: WebhookSettings, caller: Caller, endpoints: Endpoints
) -> None:
    async with receiving() as failures, receiving() as successes, sending(settings):
        await register(endpoints, failures.url, "job.failed")
        await register(endpoints, successes.url, "job.completed")
        await caller.publish(make_job(metadata={"fail": "yes"}))
        await caller.publish(make_job())
        await eventually(lambda: failures.deliveries and successes.deliveries)
        assert [each.event["data"]["error"]["message"] for each in failures.deliveries] == ["It is not audio."]
        assert [each.event["type"] for each in successes.deliveries] == ["job.completed"]


async def test_nobody_is_told_of_another_tenants_jobs(
    settings: WebhookSettings, caller: Caller, endpoints: Endpoints
) -> None:
    async with receiving() as mine, receiving() as theirs, sending(settings):
        await register(endpoints, mine.url)
        await register(endpoints, theirs.url, tenant="other")
        await caller.publish(make_job())
        await eventually(lambda: mine.deliveries)
        with pytest.raises(NotFound):
            await endpoints.get("t", (await endpoints.list("other"))[0].id)
        assert theirs.deliveries == []


async def test_a_job_tells_a_url_of_its_own(settings: WebhookSettings, caller: Caller) -> None:
    async with receiving() as receiver, sending(settings):
        await caller.publish(make_job(webhook=WebhookTarget(url=receiver.url, secret="a secret of this job")))
        await eventually(lambda: receiver.deliveries)
        assert receiver.deliveries[0].is_signed_with("a secret of this job")


async def test_events_of_before_the_service_started_are_sent_when_it_does(
    settings: WebhookSettings, caller: Caller, endpoints: Endpoints
) -> None:
    async with receiving() as receiver:
        await register(endpoints, receiver.url)
        call = await caller.submit(make_job())
        await call.outcome()
        async with sending(settings):
            await eventually(lambda: receiver.deliveries)


class CountedEndpoints(Endpoints):
    """Counts how often a tenant's receivers are read."""

    reads = 0

    async def list(self, tenant: str, *, dialect: Dialect | None = None) -> tuple[Endpoint, ...]:
        self.reads += 1
        return await super().list(tenant, dialect=dialect)


async def test_an_event_without_receivers_costs_one_read_at_most(
    bus: Bus, caller: Caller, deliveries: Deliveries, server: Server
) -> None:
    for _ in range(20):
        await (await caller.submit(make_job())).outcome()
    endpoints = CountedEndpoints(bus, check_url=lambda url, param=None: None)
    stop = asyncio.Event()
    server.do("CONFIG", "RESETSTAT")
    async with asyncio.TaskGroup() as group:
        group.create_task(Follower(bus, endpoints, deliveries, pulse=Health().loop("events")).run(stop))

        def acknowledged() -> bool:
            groups = {row["name"]: row for row in server.describe("XINFO", "GROUPS", "events:{transcribe}")}
            group = groups.get(b"webhooks")
            return group is not None and group["lag"] == 0 and group["pending"] == 0

        await eventually(acknowledged)
        stop.set()
    assert 1 <= endpoints.reads <= 20
    assert "mget" not in server.commands()


async def test_batches_are_told_to_azure_receivers_once_they_have_met_the_challenge(
    settings: WebhookSettings, bus: Bus, caller: Caller, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    def echo(delivery: Delivery) -> Answer:
        _, _, token = delivery.path.partition("validationToken=")
        return Answer(200, body=token.encode())

    async with receiving(in_turn(Answer(200, body=b"what?"), Answer(200))) as receiver, sending(settings):
        events = ("transcriptionProcessing", "transcriptionCompletion")
        endpoint = await endpoints.create(
            "t", name="azure", url=receiver.url, event_types=events, dialect="azure", secret="s"
        )
        assert not endpoint.validated
        await deliveries.challenge(endpoint)
        await eventually(lambda: len(receiver.deliveries) >= 2)
        assert not (await endpoints.get("t", endpoint.id)).validated
        receiver.answer = echo

        async def validated() -> bool:
            return (await endpoints.get("t", endpoint.id)).validated

        await eventually(validated)
        assert {each.headers["x-microsoftspeechservices-event"] for each in receiver.deliveries} == {"Challenge"}

        batch = BatchRecord(
            id="batch-1",
            kind="transcribe",
            tenant="t",
            created_ms=bus.now_ms(),
            total=2,
            definition={"displayName": "x"},
        )
        await bus.batches.create(batch, keep_s=3600)
        receiver.deliveries.clear()
        for index in range(2):
            await caller.publish(make_job(id=batch.job_id(index), parent=batch.id))
        await eventually(lambda: len(receiver.deliveries) >= 2)
        told = {each.headers["x-microsoftspeechservices-event"]: each.event for each in receiver.deliveries}
        assert told["TranscriptionProcessing"]["status"] == "Running"
        assert told["TranscriptionCompletion"]["status"] == "Succeeded"
        assert told["TranscriptionCompletion"]["displayName"] == "x"
        assert all("x-microsoftspeechservices-signature" in each.headers for each in receiver.deliveries)


async def test_endpoints_are_registered_changed_and_deleted(endpoints: Endpoints) -> None:
    endpoint = await register(endpoints, "http://127.0.0.1:9/a")
    changed = await endpoints.update("t", endpoint.id, name="new", event_types=["job.failed"])
    assert (changed.name, changed.event_types, changed.secret) == ("new", ("job.failed",), endpoint.secret)
    assert changed.signing_secret_hint == (endpoint.secret or "")[-4:]
    assert endpoint.secret and endpoint.secret not in repr(endpoint)
    assert await endpoints.list("t") == (changed,)
    await endpoints.delete("t", endpoint.id)
    with pytest.raises(NotFound):
        await endpoints.update("t", endpoint.id, name="again")


@pytest.mark.parametrize(
    ("url", "event_types", "param"),
    [
        ("http://10.0.0.1/hook", ("job.completed",), "url"),
        ("http://127.0.0.1:9/", ("job.started",), "event_types"),
        ("http://127.0.0.1:9/", (), "event_types"),
    ],
)
async def test_what_cannot_be_registered_is_refused(
    endpoints: Endpoints, url: str, event_types: tuple[str, ...], param: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await endpoints.create("t", name="x", url=url, event_types=event_types)
    assert refused.value.param == param


async def test_a_tenant_has_so_many_endpoints(endpoints: Endpoints) -> None:
    for _ in range(MAX_ENDPOINTS):
        await register(endpoints, "http://127.0.0.1:9/a")
    with pytest.raises(InvalidValue):
        await register(endpoints, "http://127.0.0.1:9/a")
    await register(endpoints, "http://127.0.0.1:9/a", tenant="other")


async def test_changes_that_meet_do_not_undo_each_other(endpoints: Endpoints) -> None:
    endpoint = await register(endpoints, "http://127.0.0.1:9/a")
    await asyncio.gather(
        endpoints.rotate("t", endpoint.id, keep_old=True),
        endpoints.disable("t", endpoint.id, reason="enough"),
        endpoints.update("t", endpoint.id, name="new"),
    )
    now = await endpoints.get("t", endpoint.id)
    assert now.secret != endpoint.secret
    assert (now.previous_secret, now.enabled, now.name) == (endpoint.secret, False, "new")
