"""A message passes through FastStream, whether its whole machinery runs or, where there is nothing for it, a part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from faststream import BaseMiddleware
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream.redis import RedisBroker

from antiphon.bus import Bus, Work
from antiphon.bus.registration import subscribe
from antiphon.bus.subscriber import LeasedSubscriber
from antiphon.errors import AntiphonError, InvalidValue
from antiphon.schemas import Job, Schema, TranscribeJob
from antiphon.settings import BusSettings
from tests.integration.bus.conftest import Done, make_job

pytestmark = pytest.mark.integration

Lane = tuple[RedisBroker, LeasedSubscriber[TranscribeJob]]
Open = Callable[..., Awaitable[Lane]]


class Watched(BaseMiddleware):
    """Notes what passes."""

    seen: list[str]

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        self.seen.append(f"before {msg.message_id}")
        result = await call_next(msg)
        self.seen.append(f"after {msg.message_id}")
        return result


@pytest_asyncio.fixture
async def open_lane(bus: Bus, settings: BusSettings) -> AsyncIterator[Open]:
    """Return what registers a handler behind middlewares and starts it."""
    brokers: list[RedisBroker] = []

    async def open_it(handler: Any, *middlewares: Any) -> Lane:
        broker = RedisBroker(logger=None, apply_types=False, middlewares=middlewares)  # type: ignore[arg-type]
        subscriber = subscribe(
            broker,
            "transcribe",
            TranscribeJob,
            handler,
            servers=bus.servers,
            scripts=bus.scripts,
            settings=settings,
            consumer="watched",
            concurrency=4,
        )
        await broker.start()
        brokers.append(broker)
        return broker, subscriber

    yield open_it
    for broker in brokers:
        await broker.stop()


async def test_a_middleware_of_the_broker_sees_every_job(bus: Bus, open_lane: Open) -> None:
    seen: list[str] = []
    await open_lane(_succeed, type("Noted", (Watched,), {"seen": seen}))
    async with bus.caller() as caller:
        call = await caller.submit(make_job())
        outcome = await asyncio.wait_for(call.outcome(), 10)
    assert outcome.result == {"text": "done"}
    assert seen == [f"before {call.job_id}", f"after {call.job_id}"]


async def test_a_middleware_added_to_a_running_broker_sees_the_next_job(bus: Bus, open_lane: Open) -> None:
    seen: list[str] = []
    broker, _ = await open_lane(_succeed)
    broker.add_middleware(type("Noted", (Watched,), {"seen": seen}))  # type: ignore[arg-type]
    async with bus.caller() as caller:
        await asyncio.wait_for((await caller.submit(make_job())).outcome(), 10)
    assert len(seen) == 2


@pytest.mark.parametrize("fails", [False, True])
async def test_the_short_way_and_the_whole_one_come_to_the_same(open_lane: Open, fails: bool) -> None:
    _, subscriber = await open_lane(_fail if fails else _succeed)
    attempt = _Attempted(make_job())
    message = {"type": "stream", "channel": "c", "message_ids": [b"1-0"], "data": {}, "attempt": attempt}
    ends: list[tuple[Any, ...]] = []
    for way in (subscriber.process_message, lambda m: SubscriberUsecase.process_message(subscriber, m)):
        try:
            response = await way(message)
            ends.append((response.body, response.correlation_id, response.headers))
        except AntiphonError as error:
            ends.append((type(error), error.message))
    assert ends[0] == ends[1]
    assert ends[0][0] is InvalidValue if fails else ends[0][0] == Done()


class _Attempted:
    """As much of an attempt as passes through FastStream."""

    def __init__(self, job: TranscribeJob) -> None:
        self.job = job
        self.work = None
        self.envelope = self
        self.data = b"{}"


async def _succeed(job: Job, work: Work) -> Schema:
    return Done()


async def _fail(job: Job, work: Work) -> Schema:
    raise InvalidValue("no")
