"""The private parts of FastStream that the subscriber stands on are there, and its public ones work with it."""

from __future__ import annotations

import inspect
from importlib.metadata import requires, version
from typing import Any

import pytest
from faststream import AckPolicy, BaseMiddleware, StreamMessage
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream._internal.endpoint.subscriber.mixins import TasksMixin
from faststream.redis import RedisBroker, RedisStreamMessage, StreamSub
from faststream.redis.subscriber.config import RedisSubscriberConfig, RedisSubscriberSpecificationConfig
from faststream.redis.subscriber.usecases import StreamSubscriber
from faststream.specification import AsyncAPI
from packaging.requirements import Requirement
from packaging.version import Version

from antiphon.bus import Bus
from antiphon.bus.registration import subscribe
from antiphon.schemas import TranscribeJob
from tests.integration.bus.conftest import Handler, make_job
from tests.servers import Server

pytestmark = pytest.mark.integration


def test_the_version_is_one_whose_private_parts_are_known() -> None:
    pinned = [Requirement(line) for line in requires("antiphon") or () if line.startswith("faststream")]
    installed = Version(version("faststream"))
    assert pinned, "antiphon[worker] names faststream"
    for requirement in pinned:
        assert installed in requirement.specifier
        assert Version("0.8.0") not in requirement.specifier, "its private parts may change with each minor version"
        assert Version("0.7.7") not in requirement.specifier


def test_the_private_parts_have_the_shape_that_is_used() -> None:
    def parameters(function: Any) -> set[str]:
        return set(inspect.signature(function).parameters)

    assert {"subscriber"} <= parameters(Registrator.subscriber)
    assert {"msg"} <= parameters(SubscriberUsecase.process_message)
    assert inspect.iscoroutinefunction(SubscriberUsecase.start)
    assert inspect.iscoroutinefunction(SubscriberUsecase.stop)
    assert callable(SubscriberUsecase._post_start)
    assert {"parser_", "decoder_", "dependencies_"} <= parameters(SubscriberUsecase.add_call)
    assert {"func", "func_args"} <= parameters(TasksMixin.add_task)
    assert issubclass(StreamSubscriber, TasksMixin)
    assert issubclass(StreamSubscriber, SubscriberUsecase)
    assert {"stream_sub", "no_reply", "_outer_config", "_ack_policy"} <= parameters(RedisSubscriberConfig)
    assert {"title_", "description_", "include_in_schema"} <= parameters(RedisSubscriberSpecificationConfig)
    assert {"stream", "group", "consumer"} <= parameters(StreamSub)
    assert AckPolicy.MANUAL.value
    assert len(CallsCollection()) == 0
    raw: Any = {"data": {}}
    nobody: Any = None
    message = RedisStreamMessage(
        raw_message=raw, body=b"", message_id="m", correlation_id="c", consumer=nobody, group=nobody
    )
    assert (message.message_id, message.correlation_id, message.raw_message) == ("m", "c", raw)


async def test_middlewares_of_a_broker_see_each_attempt(server: Server, bus: Bus) -> None:
    seen: list[str] = []

    class Noting(BaseMiddleware):
        async def consume_scope(self, call_next: Any, msg: StreamMessage[Any]) -> Any:
            seen.append(msg.message_id)
            return await call_next(msg)

    nothing: Any = None
    broker = RedisBroker(logger=nothing, apply_types=False, middlewares=[Noting])
    register(broker, bus)
    await broker.start()
    try:
        async with bus.caller() as caller:
            call = await caller.submit(make_job())
            assert (await call.outcome()).status == "completed"
    finally:
        await broker.stop()
    assert seen == [call.job_id]


async def test_the_channels_are_described_for_producers(bus: Bus) -> None:
    broker = RedisBroker(logger=None, apply_types=False)  # type: ignore[arg-type]
    register(broker, bus)
    document = AsyncAPI(broker, title="Antiphon", version="1").to_specification().to_jsonable()
    assert document["asyncapi"].startswith("3.")
    (channel,) = document["channels"].values()
    assert channel["bindings"]["redis"]["channel"] == "jobs:{transcribe}:std"
    assert channel["bindings"]["redis"]["groupName"] == "workers"
    schemas = document["components"]["schemas"]
    assert {"audio", "model", "id", "kind"} <= set(schemas["TranscribeJob"]["properties"])


def register(broker: RedisBroker, bus: Bus) -> None:
    subscribe(
        broker,
        "transcribe",
        TranscribeJob,
        Handler(),
        servers=bus.servers,
        scripts=bus.scripts,
        settings=bus.settings,
        consumer="c",
        concurrency=1,
    )
