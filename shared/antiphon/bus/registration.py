"""Register a lane on a FastStream broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import RedisStreamMessage
from faststream.redis.subscriber.config import RedisSubscriberConfig, RedisSubscriberSpecificationConfig
from faststream.redis.subscriber.specification import StreamSubscriberSpecification

from antiphon.bus.clock import ServerClock
from antiphon.bus.keys import GROUP, LaneKeys
from antiphon.bus.policy import RetryPolicy
from antiphon.bus.subscriber import LeasedSubscriber
from antiphon.schemas import Job, Kind, Schema
from antiphon.telemetry.health import Health

if TYPE_CHECKING:
    from antiphon.bus.attempts import Attempt
    from antiphon.bus.scripts import Scripts
    from antiphon.bus.servers import Servers
    from antiphon.bus.settlement import Settled
    from antiphon.bus.work import Handler
    from antiphon.settings import BusSettings

JobT = TypeVar("JobT", bound=Job)


def subscribe(
    broker: RedisBroker,
    kind: Kind,
    schema: type[JobT],
    handler: Handler[JobT],
    *,
    servers: Servers,
    scripts: Scripts,
    settings: BusSettings,
    consumer: str,
    concurrency: int,
    clock: ServerClock | None = None,
    retry: RetryPolicy | None = None,
    settled: Settled | None = None,
    health: Health | None = None,
) -> LeasedSubscriber[JobT]:
    """Register `handler` for a lane on a FastStream broker; it starts and stops with the broker."""
    keys = LaneKeys(kind)
    stream = StreamSub(keys.jobs("std"), group=GROUP, consumer=consumer)
    calls: CallsCollection[Any] = CallsCollection()
    config = RedisSubscriberConfig(
        stream_sub=stream,
        no_reply=True,
        _outer_config=broker.config,  # type: ignore[arg-type]
        _ack_policy=AckPolicy.MANUAL,
    )
    specification = StreamSubscriberSpecification(
        broker.config,  # type: ignore[arg-type]
        RedisSubscriberSpecificationConfig(title_=f"{kind} jobs", description_=schema.__doc__, include_in_schema=True),
        calls,
        stream_sub=stream,
    )
    subscriber: LeasedSubscriber[JobT] = LeasedSubscriber(config, specification, calls)
    subscriber.kind, subscriber.keys, subscriber.consumer = kind, keys, consumer
    subscriber.concurrency, subscriber.servers, subscriber.scripts = concurrency, servers, scripts
    subscriber.settings, subscriber.schema_of_job = settings, schema
    subscriber.clock, subscriber.settled = clock or ServerClock(), settled
    subscriber.health = health or Health()
    subscriber.retry = retry or RetryPolicy(settings.max_attempts, settings.backoff, settings.max_backoff)
    Registrator.subscriber(broker, subscriber)
    subscriber.add_call(parser_=_parse, decoder_=_decode, dependencies_=())

    async def handle(attempt: Attempt[JobT]) -> Schema:
        return await handler(attempt.job, attempt.work)

    handle.__name__ = f"handle_{kind}"
    # What the AsyncAPI document says a message is; at run time the attempt is passed on as it is.
    handle.__annotations__["attempt"] = schema
    subscriber(handle)
    return subscriber


async def _parse(message: dict[str, Any]) -> RedisStreamMessage:
    at: Attempt[Any] = message["attempt"]
    return RedisStreamMessage(
        raw_message=message,
        body=at.envelope.data,
        headers={},
        content_type="application/json",
        correlation_id=at.job.id,
        message_id=at.job.id,
        consumer=None,  # type: ignore[arg-type]
        group=None,
    )


async def _decode(message: RedisStreamMessage) -> Attempt[Any]:
    attempt: Attempt[Any] = message.raw_message["attempt"]  # type: ignore[typeddict-item]
    return attempt
