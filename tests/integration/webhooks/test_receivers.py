"""Receivers that fail, hang, redirect, ask for a pause, want no more."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from antiphon.bus import Bus, Caller
from antiphon.errors import JobFailed, NotFound
from antiphon.schemas import Outcome, WebhookTarget
from antiphon.webhooks import Deliveries, Endpoint, Endpoints, Message
from services.webhooks.settings import WebhookSettings
from tests.eventually import eventually
from tests.integration.webhooks.conftest import make_job, sending, settings_for
from tests.integration.webhooks.receiver import OK, Answer, in_turn, receiving
from tests.servers import Server

pytestmark = pytest.mark.integration


def message(number: int = 1) -> Message:
    return Message(event_id=f"evt_{number}", event_type="job.completed", tenant="t", subject="job_1", body='{"n":1}')


async def register(endpoints: Endpoints, url: str) -> Endpoint:
    return await endpoints.create("t", name="mine", url=url, event_types=("job.completed",))


async def outcome_of(bus: Bus, job_id: str, *, within_s: float = 15.0) -> Outcome:
    return await eventually(lambda: bus.records.outcome("webhook", job_id), within_s=within_s)


async def test_a_receiver_that_fails_is_asked_again_with_the_same_id_until_it_takes_the_event(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving(in_turn(Answer(500, body=b"broken"), Answer(404), OK)) as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        admitted = await deliveries.queue(message(), endpoint)
        outcome = await outcome_of(bus, admitted.job_id)
        assert outcome.result is not None
        assert outcome.result["status_code"] == 204
        assert receiver.ids == ["evt_1"] * 3
        assert {each.body for each in receiver.deliveries} == {b'{"n":1}'}
        log = await deliveries.log(endpoint)
        assert [(each.attempt, each.status_code, each.succeeded) for each in log] == [
            (3, 204, True),
            (2, 404, False),
            (1, 500, False),
        ]
        assert (log[-1].response, log[-1].body, log[-1].subject) == ("broken", '{"n":1}', "job_1")
        assert (await deliveries.health(endpoint)).failures == 0


async def test_an_event_is_queued_once_however_often_it_is_announced(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving() as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        admitted = [await deliveries.queue(message(), endpoint) for _ in range(3)]
        assert [each.known for each in admitted] == [False, True, True]
        await outcome_of(bus, admitted[0].job_id)
        assert (await deliveries.queue(message(), endpoint)).known
        await outcome_of(bus, (await deliveries.queue(message(2), endpoint)).job_id)
        assert receiver.ids == ["evt_1", "evt_2"]


async def test_a_redirect_is_a_failure_and_is_not_followed(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving() as elsewhere:
        away = Answer(302, headers={"Location": elsewhere.url})
        async with receiving(in_turn(away, OK)) as receiver, sending(settings):
            endpoint = await register(endpoints, receiver.url)
            await outcome_of(bus, (await deliveries.queue(message(), endpoint)).job_id)
            assert len(receiver.deliveries) == 2
            assert elsewhere.deliveries == []


async def test_a_receiver_that_answers_410_gets_nothing_more(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving(Answer(410)) as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        outcome = await outcome_of(bus, (await deliveries.queue(message(), endpoint)).job_id)
        assert outcome.status == "failed"
        now = await endpoints.get("t", endpoint.id)
        assert not now.enabled
        assert "410" in (now.disabled_reason or "")
        # What is still on its way ends without another attempt.
        late = await outcome_of(bus, (await deliveries.queue(message(2), endpoint)).job_id)
        assert late.error is not None
        assert "disabled" in late.error.message
        assert len(receiver.deliveries) == 1
        assert (await deliveries.log(endpoint, limit=1))[0].attempt == 0


async def test_a_pause_that_the_receiver_asks_for_is_kept_by_all_deliveries(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    times: list[float] = []

    def answer(_: Any) -> Answer:
        times.append(time.monotonic())
        return Answer(429, headers={"Retry-After": "1"}) if len(times) == 1 else OK

    async with receiving(answer) as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        first = await deliveries.queue(message(), endpoint)
        await eventually(lambda: times)
        await eventually(lambda: _failures(deliveries, endpoint))
        second = await deliveries.queue(message(2), endpoint)
        for admitted in (first, second):
            assert (await outcome_of(bus, admitted.job_id)).attempts <= 2
        assert min(times[1:]) - times[0] >= 0.99
        assert sorted(receiver.ids) == ["evt_1", "evt_1", "evt_2"]


async def _failures(deliveries: Deliveries, endpoint: Endpoint) -> int:
    return (await deliveries.health(endpoint)).failures


async def test_a_deleted_endpoint_ends_its_deliveries(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving() as receiver:
        endpoint = await register(endpoints, receiver.url)
        admitted = await deliveries.queue(message(), endpoint)
        await endpoints.delete("t", endpoint.id)
        async with sending(settings):
            outcome = await outcome_of(bus, admitted.job_id)
        assert outcome.error is not None
        assert "deleted" in outcome.error.message
        assert receiver.deliveries == []


async def test_a_place_that_is_not_allowed_ends_the_delivery(
    server: Server, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving() as receiver:
        endpoint = await register(endpoints, receiver.url)
        async with sending(settings_for(server, egress={"egress_allow": ()})):
            outcome = await outcome_of(bus, (await deliveries.queue(message(), endpoint)).job_id)
        assert (outcome.status, outcome.attempts) == ("failed", 1)
        assert receiver.deliveries == []
        assert (await deliveries.log(endpoint))[0].error


async def test_what_is_given_up_is_a_dead_letter_that_can_be_replayed(
    server: Server, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    twice = settings_for(server, webhook_schedule=(timedelta(milliseconds=10),))
    async with receiving(in_turn(Answer(500), Answer(500), OK)) as receiver, sending(twice):
        endpoint = await register(endpoints, receiver.url)
        admitted = await deliveries.queue(message(), endpoint)
        outcome = await outcome_of(bus, admitted.job_id)
        assert (outcome.status, outcome.attempts) == ("failed", 2)
        letters = bus.dead_letters("webhook")
        (letter,) = [letter async for letter in letters.list()]
        assert await letters.replay(letter)

        async def completed() -> bool:
            ended = await bus.records.outcome("webhook", admitted.job_id)
            return ended is not None and ended.status == "completed"

        await eventually(completed)
        assert receiver.ids == ["evt_1"] * 3


async def test_after_a_rotation_both_secrets_verify_for_a_day(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving() as receiver:
        old = await register(endpoints, receiver.url)
        # Signed by what is valid at the attempt, not when it was queued.
        admitted = await deliveries.queue(message(), old)
        new = await endpoints.rotate("t", old.id, keep_old=True)
        assert old.secret and new.secret and old.secret != new.secret
        assert len(new.secrets(new.previous_until_ms)) == 1
        async with sending(settings):
            await outcome_of(bus, admitted.job_id)
            assert receiver.deliveries[0].is_signed_with(old.secret)
            assert receiver.deliveries[0].is_signed_with(new.secret)
            last = await endpoints.rotate("t", old.id, keep_old=False)
            await outcome_of(bus, (await deliveries.queue(message(2), old)).job_id)
        assert last.secret
        assert receiver.deliveries[1].is_signed_with(last.secret)
        assert not receiver.deliveries[1].is_signed_with(new.secret)


async def test_a_receiver_that_hangs_does_not_delay_another_ones_events(
    server: Server, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    settings = settings_for(server, webhook_concurrency=8, webhook_in_flight=2, webhook_timeout=timedelta(seconds=5))
    async with receiving(Answer(delay_s=60)) as hanging, receiving() as healthy, sending(settings):
        slow, quick = await register(endpoints, hanging.url), await register(endpoints, healthy.url)
        for number in range(40):
            await deliveries.queue(message(number), slow)
        await eventually(lambda: hanging.in_flight == 2)
        started_s = time.monotonic()
        admitted = [await deliveries.queue(message(number), quick) for number in range(40)]
        for each in admitted:
            await outcome_of(bus, each.job_id)
        assert time.monotonic() - started_s < 3.0
        assert len(healthy.deliveries) == 40
        assert hanging.most_in_flight == 2


async def test_a_receiver_that_keeps_failing_is_left_alone_and_then_tried_by_one(
    server: Server, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    settings = settings_for(
        server,
        webhook_failures=3,
        webhook_in_flight=1,
        webhook_pause=timedelta(seconds=1),
        webhook_schedule=(timedelta(milliseconds=10),) * 20,
    )
    async with receiving(Answer(503)) as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        admitted = [await deliveries.queue(message(number), endpoint) for number in range(10)]

        async def opened() -> int:
            return (await deliveries.health(endpoint)).openings

        await eventually(opened)
        assert len(receiver.deliveries) == 3
        receiver.answer = lambda _: OK
        outcomes = [await outcome_of(bus, each.job_id) for each in admitted]
        assert all(outcome.status == "completed" for outcome in outcomes)
        # Waiting for the receiver is no attempt at it.
        assert sum(outcome.attempts for outcome in outcomes) == 13
        assert (await deliveries.health(endpoint)).failures == 0


async def test_an_endpoint_that_fails_for_too_long_is_disabled_and_can_be_enabled_again(
    server: Server, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    settings = settings_for(server, webhook_disable_after=timedelta(milliseconds=100))
    async with receiving(Answer(500)) as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        outcome = await outcome_of(bus, (await deliveries.queue(message(), endpoint)).job_id)
        assert outcome.status == "failed"
        assert not (await endpoints.get("t", endpoint.id)).enabled
        receiver.answer = lambda _: OK
        await endpoints.enable("t", endpoint.id)
        assert (await deliveries.health(endpoint)).failures == 0
        outcome = await outcome_of(bus, (await deliveries.queue(message(2), endpoint)).job_id)
        assert outcome.status == "completed"


async def test_a_test_event_tells_what_the_receiver_answers_disabled_or_not(
    settings: WebhookSettings, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving(Answer(418)) as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        await endpoints.disable("t", endpoint.id, reason="off")
        assert (await deliveries.test(endpoint, "job.failed")).status_code == 418
        assert receiver.deliveries[0].event["type"] == "job.failed"
        assert endpoint.secret
        assert receiver.deliveries[0].is_signed_with(endpoint.secret)
        assert len(receiver.deliveries) == 1
        silent = await endpoints.update("t", endpoint.id, url="http://127.0.0.1:9/")
        with pytest.raises(JobFailed) as failed:
            await deliveries.test(silent, "job.completed")
        assert (failed.value.info().http_status, failed.value.param) == (400, "url")


async def test_an_event_of_the_log_is_sent_again_under_its_id(
    settings: WebhookSettings, bus: Bus, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving() as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        for number in range(3):
            await outcome_of(bus, (await deliveries.queue(message(number), endpoint)).job_id)
        await outcome_of(bus, (await deliveries.redeliver(endpoint, "evt_1")).job_id)
        await outcome_of(bus, (await deliveries.redeliver(endpoint, "evt_1")).job_id)
        assert sorted(receiver.ids) == ["evt_0", "evt_1", "evt_1", "evt_1", "evt_2"]
        newest = await deliveries.log(endpoint, limit=2)
        older = await deliveries.log(endpoint, before=newest[-1].entry)
        assert [each.event_id for each in (*newest, *older)] == ["evt_1", "evt_1", "evt_2", "evt_1", "evt_0"]
        with pytest.raises(NotFound):
            await deliveries.redeliver(endpoint, "evt_9")


async def test_a_url_of_a_job_that_fails_has_a_circuit_of_its_own(
    settings: WebhookSettings, caller: Caller, endpoints: Endpoints, deliveries: Deliveries
) -> None:
    async with receiving(in_turn(Answer(500), OK)) as receiver, sending(settings):
        endpoint = await register(endpoints, receiver.url)
        await endpoints.disable("t", endpoint.id, reason="only the job's own")
        await caller.publish(make_job(webhook=WebhookTarget(url=receiver.url)))
        await eventually(lambda: len(receiver.deliveries) == 2)
        assert "webhook-signature" not in receiver.deliveries[0].headers
        assert receiver.ids[0] == receiver.ids[1]
        assert (await deliveries.health(endpoint)).failures == 0
