"""From what is announced to deliveries: who is to be told of an event, and of what in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from antiphon.bus import Announcement, Bus, EventReader
from antiphon.errors import AntiphonError
from antiphon.schemas import JOB_SCHEMAS, JobEvent, Kind, WebhookTarget
from antiphon.telemetry import carrier_of, continued_trace
from antiphon.telemetry.health import Pulse
from antiphon.webhooks import Deliveries, Endpoint, Endpoints, Message
from antiphon.webhooks.messages import batch_message, job_message

logger = logging.getLogger(__name__)

GROUP = "webhooks"
KINDS: tuple[Kind, ...] = tuple(kind for kind in JOB_SCHEMAS if kind != "webhook")
"""Lanes whose jobs have events."""

_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_WITH_RESULT = "job.completed"
_BATCH_EVENTS = {"batch.started": "transcriptionProcessing", "batch.completed": "transcriptionCompletion"}

T = TypeVar("T")
Receiver = Endpoint | WebhookTarget


class Stopped(Exception):
    """The service ends before the bus is back."""


class Follower:
    """Turns announcements into deliveries. What is not acknowledged when it dies is announced to a peer again."""

    def __init__(self, bus: Bus, endpoints: Endpoints, deliveries: Deliveries, *, pulse: Pulse) -> None:
        self._bus = bus
        self._pulse = pulse
        self._endpoints = endpoints
        self._deliveries = deliveries

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set. What cannot be passed on by then is announced to a peer again."""
        with suppress(Stopped):
            async with self._bus.events(GROUP, kinds=KINDS) as reader:
                while not stop.is_set():
                    announcements = await self._insist(partial(_read, reader, stop), stop)
                    if announcements:
                        await self._pass_on([each.event for each in announcements], stop)
                        await self._insist(partial(reader.done, announcements), stop)
        self._pulse.rest()

    async def _pass_on(self, events: Sequence[JobEvent], stop: asyncio.Event) -> None:
        try:
            await self._queue(events, stop)
        except Stopped:
            raise
        except Exception:
            # An event that cannot be sent must not keep back all that follow it.
            if len(events) == 1:
                logger.exception("an event cannot be sent", extra={"event": events[0].id, "type": events[0].type})
            for event in events if len(events) > 1 else ():
                await self._pass_on([event], stop)

    async def _queue(self, events: Sequence[JobEvent], stop: asyncio.Event) -> None:
        """Queue a delivery for every receiver of every event; those that are queued already stay as they are."""
        # What was registered before an event is in what is read after it: nothing is kept from one read to the next.
        tenants = {event.tenant for event in events}
        registered = {tenant: await self._insist(partial(self._endpoints.list, tenant), stop) for tenant in tenants}
        told = [(event, receivers) for event in events if (receivers := receivers_of(event, registered[event.tenant]))]
        messages = await self._insist(partial(self._messages, [event for event, _ in told]), stop)
        for event, receivers in told:
            if message := messages.get(event.id):
                # The trace of the job goes on: who called for it sees who was told.
                with continued_trace(carrier_of(event.traceparent, event.tracestate)):
                    for receiver in receivers:
                        await self._insist(partial(self._deliveries.queue, message, receiver), stop)

    async def _messages(self, events: Sequence[JobEvent]) -> dict[str, Message]:
        messages: dict[str, Message] = {}
        for kind in KINDS:
            ended = [event for event in events if event.kind == kind and event.type == _WITH_RESULT]
            outcomes = await self._bus.records.outcomes(kind, [event.job_id or "" for event in ended])
            messages |= {event.id: job_message(event, outcome) for event, outcome in zip(ended, outcomes, strict=True)}
        for event in events:
            if event.type in _BATCH_EVENTS:
                batch = await self._bus.batches.find(event.parent or "", tenant=event.tenant)
                if batch is not None:
                    messages[event.id] = batch_message(event, batch)
            elif event.type != _WITH_RESULT:
                messages[event.id] = job_message(event)
        return messages

    async def _insist(self, step: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T:
        """Repeat a step while the bus is away or full. Raises `Stopped` when the service ends first."""
        pause_s = _PAUSE_S
        while True:
            self._pulse.turn()
            try:
                return await step()
            except AntiphonError as error:
                if not error.retryable:
                    raise
                logger.warning("events wait", extra={"cause": error.message})
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
                    raise Stopped
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def receivers_of(event: JobEvent, endpoints: Sequence[Endpoint]) -> list[Receiver]:
    """Return who is to be told of an event: endpoints that want it, and the job's own URL.

    A job that names an endpoint tells only that one, and only of the events that both the job and the endpoint name.
    """
    event_type = _BATCH_EVENTS.get(event.type, event.type)
    receivers: list[Receiver] = [endpoint for endpoint in endpoints if endpoint.wants(event_type)]
    target = event.webhook
    if target is None:
        return receivers
    asked = event.type in target.events
    if target.endpoint is not None:
        return [each for each in receivers if asked and isinstance(each, Endpoint) and each.id == target.endpoint]
    return [*receivers, target] if asked else receivers


async def _read(reader: EventReader, stop: asyncio.Event) -> list[Announcement]:
    """Read, but do not sit out the wait of a read when the service ends. Raises `Stopped`."""
    reading, stopping = asyncio.ensure_future(reader.read()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise Stopped
        return reading.result()
    finally:
        for task in (reading, stopping):
            task.cancel()
        await asyncio.gather(reading, stopping, return_exceptions=True)
