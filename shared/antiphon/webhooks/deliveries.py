"""Events on their way to receivers: put on the lane `webhook`, looked up, sent again."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from antiphon.errors import InvalidValue, JobFailed, NotFound, Unavailable
from antiphon.schemas import Delivered, WebhookJob
from antiphon.webhooks.circuits import Circuit, Circuits
from antiphon.webhooks.endpoints import EVENT_TYPES, Endpoint
from antiphon.webhooks.log import DeliveryAttempt, DeliveryLog
from antiphon.webhooks.messages import JOB_EVENT_TYPES, Message, plain_message, sample_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antiphon.bus import Admitted, Bus, Caller
    from antiphon.schemas import WebhookTarget

PURPOSE = "purpose"
"""Metadata of a delivery that is no event of its own: `test` or `challenge`."""
SUBJECT = "subject"
TOKEN = "token"  # noqa: S105 - the name of a field
CHALLENGE = "challenge"
TEST = "test"

_TEST_S = 30.0
"""How long the answer to a test is awaited: its own timeout, and the time until a worker is free."""


class Deliveries:
    """Sends events and remembers what became of them. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, bus: Bus, caller: Caller) -> None:
        self._caller = caller
        self._log = DeliveryLog(bus)
        self._circuits = Circuits(bus.values)

    async def queue(self, message: Message, receiver: Endpoint | WebhookTarget) -> Admitted:
        """Send an event to a receiver, once however often this is called within a day.

        A `WebhookTarget` must have a URL. Raises `Overloaded` when the lane is full.
        """
        job = _delivery(message, receiver)
        return await self._caller.publish(job, idempotency_key=job.id)

    async def announce(
        self, endpoints: Sequence[Endpoint], event_type: str, body: Mapping[str, Any], *, subject: str | None = None
    ) -> None:
        """Send one event with that body to those of `endpoints` that want it. Raises `Overloaded`."""
        wanting = [endpoint for endpoint in endpoints if endpoint.wants(event_type)]
        if not wanting:
            return
        message = plain_message(wanting[0].tenant, event_type, body, subject=subject)
        for endpoint in wanting:
            await self.queue(message, endpoint)

    async def test(self, endpoint: Endpoint, event_type: str) -> Delivered:
        """Send a made-up event at once, disabled or not, and return the receiver's answer, whatever its status.

        Raises `InvalidValue` for a type that the dialect does not have, `JobFailed` with 400 and the parameter `url`
        when there is no answer, `DeadlineExceeded` when no webhook service is running.
        """
        if event_type not in EVENT_TYPES[endpoint.dialect]:
            known = ", ".join(EVENT_TYPES[endpoint.dialect])
            raise InvalidValue(f"Invalid value for 'event_type': expected one of {known}.", param="event_type")
        if event_type in JOB_EVENT_TYPES:
            message = sample_message(endpoint.tenant, event_type)
        else:
            message = plain_message(endpoint.tenant, event_type, {"test": True})
        job = _delivery(message, endpoint, metadata={PURPOSE: TEST})
        call = await self._caller.submit(job, priority="hi", expires_in_s=_TEST_S)
        outcome = await call.outcome()
        if outcome.result is not None:
            return Delivered.model_validate(outcome.result)
        raise Unavailable("The test ended without an answer.") if outcome.error is None else JobFailed(outcome.error)

    async def challenge(self, endpoint: Endpoint) -> Admitted:
        """Ask an `azure` endpoint to repeat a token, which validates it. Raises `Overloaded`.

        The event `Challenge` goes to its URL with `validationToken`; while the answer is another, it is repeated as
        any delivery is.
        """
        message = plain_message(endpoint.tenant, CHALLENGE, {})
        token = secrets.token_urlsafe(24)
        return await self._caller.publish(_delivery(message, endpoint, metadata={PURPOSE: CHALLENGE, TOKEN: token}))

    async def redeliver(self, endpoint: Endpoint, event_id: str) -> Admitted:
        """Send an event of the log again under its id, as a new delivery with attempts from 1.

        Raises `NotFound` when the log does not have it any more, `Overloaded`.
        """
        found = await self._log.find(endpoint.id, event_id)
        if found is None:
            raise NotFound(f"No event with id '{event_id[:64]}' in the log of this endpoint.", param="event_id")
        message = Message(
            event_id=found.event_id,
            event_type=found.event_type,
            tenant=endpoint.tenant,
            subject=found.subject,
            body=found.body,
        )
        return await self._caller.publish(_delivery(message, endpoint, again=secrets.token_hex(6)))

    async def log(
        self, endpoint: Endpoint, *, before: str | None = None, limit: int = 20
    ) -> tuple[DeliveryAttempt, ...]:
        """Return up to `limit` attempts, the newest first; `before` is the `entry` of one that was returned."""
        return await self._log.page(endpoint.id, before=before, limit=limit)

    async def health(self, endpoint: Endpoint) -> Circuit:
        """Return how an endpoint does: failures since its last success, since when, until when it is left alone."""
        return await self._circuits.get(endpoint.id)


def receiver_key(*, tenant: str, endpoint: str | None, url: str | None) -> str:
    """Return the name under which a receiver's circuit is kept: an endpoint's id, or a digest of tenant and URL."""
    if endpoint is not None:
        return endpoint
    digest = hashlib.sha256(f"{tenant} {url}".encode()).hexdigest()
    return f"url-{digest[:32]}"


def _delivery(
    message: Message,
    receiver: Endpoint | WebhookTarget,
    *,
    metadata: Mapping[str, str] | None = None,
    again: str | None = None,
) -> WebhookJob:
    if isinstance(receiver, Endpoint):
        endpoint, url, secret = receiver.id, None, None
    else:
        endpoint, url, secret = None, receiver.url, receiver.secret
    key = receiver_key(tenant=message.tenant, endpoint=endpoint, url=url)
    subject = {} if message.subject is None else {SUBJECT: message.subject}
    return WebhookJob(
        # Made from the event and its receiver: whoever queues the same one again queues the same job.
        id=".".join(filter(None, (message.event_id, key, again))),
        tenant=message.tenant,
        event_id=message.event_id,
        event_type=message.event_type,
        body=message.body,
        endpoint=endpoint,
        url=url,
        secret=secret,
        metadata=subject | dict(metadata or {}),
    )
