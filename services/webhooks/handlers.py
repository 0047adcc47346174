"""`webhook` jobs: one attempt at one delivery."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from http import HTTPStatus

from antiphon.bus import Bus, Postponed, Work
from antiphon.egress import Egress, Reply
from antiphon.errors import InvalidRequest, NotFound, Unavailable
from antiphon.schemas import Delivered, WebhookJob
from antiphon.webhooks import Circuit, Circuits, DeliveryAttempt, DeliveryLog, Endpoint, Endpoints
from antiphon.webhooks.deliveries import CHALLENGE, PURPOSE, SUBJECT, TEST, TOKEN, receiver_key
from services.webhooks.posting import post
from services.webhooks.requests import Receiver, Request, request_of
from services.webhooks.settings import WebhookSettings
from services.webhooks.turns import Turns

logger = logging.getLogger(__name__)

_PATIENT = frozenset({429, 502, 503, 504})
"""Statuses whose `Retry-After` is honoured."""
_LONGEST_WAIT_S = timedelta(days=1).total_seconds()
_PROBING_S = 0.5
"""How soon to look again whether a probe has closed the circuit; up to three times that."""
_BUS_AWAY_S = 2.0
_SPREAD = 0.25
"""Deliveries that waited for the same circuit come back over this part of their wait."""


class Deliver:
    """Handles `webhook` jobs."""

    def __init__(self, bus: Bus, egress: Egress, settings: WebhookSettings) -> None:
        self._now_ms = bus.now_ms
        self._egress = egress
        self._endpoints = Endpoints(bus, check_url=egress.check_url)
        self._circuits = Circuits(bus.values)
        self._log = DeliveryLog(bus)
        self._turns = Turns(settings.webhook_in_flight)
        self._breaker = settings.breaker
        self._timeout_s = settings.webhook_timeout.total_seconds()
        self._disable_after_ms = int(settings.webhook_disable_after.total_seconds() * 1000)

    async def __call__(self, job: WebhookJob, work: Work) -> Delivered:
        """Post the event once and return the answer.

        Raises `Unavailable` when another attempt is due, `Postponed` when it is not the time for one, `NotFound` and
        `InvalidRequest` when the delivery ends here.
        """
        if job.metadata.get(PURPOSE) == TEST:
            return await self._test(job, work)
        key = receiver_key(tenant=job.tenant, endpoint=job.endpoint, url=job.url)
        async with self._turns.take(key) as line:
            try:
                endpoint, circuit = await self._endpoint(job), await self._circuits.get(key)
            except Unavailable:
                # That the bus is away is not the receiver's failure, and no attempt at it.
                raise Postponed(_BUS_AWAY_S) from None
            if endpoint is not None and (obstacle := _obstacle(endpoint, job)):
                await self._note(job, attempt=0, error=obstacle)
                raise InvalidRequest(obstacle)
            async with self._passing(key, circuit):
                started_s = asyncio.get_running_loop().time()
                try:
                    reply = await self._attempt(job, self._request(job, endpoint), attempt=work.attempt)
                except Unavailable as error:
                    await self._failed(key, endpoint)
                    raise Unavailable(error.message) from error
                finally:
                    line.took(asyncio.get_running_loop().time() - started_s)
                return await self._judge(job, reply, key=key, endpoint=endpoint, failing=circuit.failures > 0)

    async def _endpoint(self, job: WebhookJob) -> Endpoint | None:
        if job.endpoint is None:
            return None
        endpoint = await self._endpoints.find(job.tenant, job.endpoint)
        if endpoint is None:
            raise NotFound("The webhook endpoint has been deleted.")
        return endpoint

    def _request(self, job: WebhookJob, endpoint: Endpoint | None) -> Request:
        now_ms = self._now_ms()
        if endpoint is not None:
            receiver = Receiver.of(endpoint, now_ms=now_ms)
        else:
            receiver = Receiver(url=job.url or "", secrets=(job.secret,) if job.secret else ())
        return request_of(job, receiver, now_s=now_ms // 1000)

    def _passing(self, key: str, circuit: Circuit) -> AbstractAsyncContextManager[None]:
        """Let a delivery pass a circuit, or put it aside."""
        now_ms = self._now_ms()
        state = circuit.state(now_ms, self._breaker)
        if state == "open":
            wait_s = (circuit.open_until_ms - now_ms) / 1000
            raise Postponed(wait_s * (1 + _SPREAD * random.random()) + 0.05)  # noqa: S311
        return self._probe(key) if state == "half-open" else _freely()

    @asynccontextmanager
    async def _probe(self, key: str) -> AsyncIterator[None]:
        if not await self._circuits.begin_probe(key):
            raise Postponed(_PROBING_S * (1 + 2 * random.random()))  # noqa: S311
        try:
            yield
        finally:
            with suppress(Unavailable):
                await self._circuits.end_probe(key)

    async def _attempt(self, job: WebhookJob, request: Request, *, attempt: int) -> Reply:
        """Post and write down what came of it. Raises `Unavailable`, or `InvalidValue` for a place it may not go to."""
        started_s = asyncio.get_running_loop().time()
        try:
            reply = await post(
                self._egress, request, timeout_s=self._timeout_s, accepted=lambda reply: _is_accepted(job, reply)
            )
        except (Unavailable, InvalidRequest) as error:
            duration_ms = round(1000 * (asyncio.get_running_loop().time() - started_s))
            await self._note(job, attempt=attempt, error=error.message, duration_ms=duration_ms)
            raise
        await self._note(job, attempt=attempt, reply=reply, error=_flaw(job, reply))
        return reply

    async def _judge(
        self, job: WebhookJob, reply: Reply, *, key: str, endpoint: Endpoint | None, failing: bool
    ) -> Delivered:
        status = reply.status_code
        if _is_accepted(job, reply):
            # The receiver has it: nothing that goes wrong from here on may send it again.
            with suppress(Unavailable):
                if failing:
                    await self._circuits.drop(key)
                if endpoint is not None and job.metadata.get(PURPOSE) == CHALLENGE:
                    await self._endpoints.validate(endpoint.tenant, endpoint.id)
            return Delivered(status_code=status, duration_ms=reply.duration_ms)
        if status == HTTPStatus.GONE:
            if endpoint is not None:
                await self._disable(endpoint, "The receiver answered 410: it wants no more events.")
            raise InvalidRequest("The receiver answered 410: it wants no more events.")
        asked_s = reply.retry_after_s if status in _PATIENT else None
        if asked_s is not None:
            asked_s = min(asked_s, _LONGEST_WAIT_S)
        await self._failed(key, endpoint, asked_s=asked_s)
        raise Unavailable(_flaw(job, reply) or f"The receiver answered {status}.", retry_after_s=asked_s)

    async def _failed(self, key: str, endpoint: Endpoint | None, *, asked_s: float | None = None) -> None:
        """Count a failure; give an endpoint up that has failed for too long. Raises `InvalidRequest` when it does."""
        now_ms = self._now_ms()
        # Read again: others have failed in the meantime.
        circuit = (await self._circuits.get(key)).failed(now_ms, self._breaker, asked_s=asked_s)
        await self._circuits.put(key, circuit)
        if circuit.open_until_ms > now_ms:
            logger.warning("a receiver is left alone", extra={"receiver": key, "failures": circuit.failures})
        since_ms = circuit.failing_since_ms or now_ms
        if endpoint is not None and now_ms - since_ms >= self._disable_after_ms:
            days = self._disable_after_ms / 86_400_000
            reason = f"Every delivery has failed for {days:g} days."
            await self._disable(endpoint, reason)
            raise InvalidRequest(f"{reason} The endpoint has been disabled.")

    async def _disable(self, endpoint: Endpoint, reason: str) -> None:
        logger.warning("an endpoint is disabled", extra={"endpoint": endpoint.id, "reason": reason})
        with suppress(NotFound):
            await self._endpoints.disable(endpoint.tenant, endpoint.id, reason=reason)

    async def _test(self, job: WebhookJob, work: Work) -> Delivered:
        """Post once, past circuits and places; any answer is the result. Raises `InvalidRequest` when there is none."""
        endpoint = await self._endpoint(job)
        try:
            reply = await self._attempt(job, self._request(job, endpoint), attempt=work.attempt)
        except Unavailable as error:
            raise InvalidRequest(error.message, param="url") from error
        return Delivered(status_code=reply.status_code, duration_ms=reply.duration_ms)

    async def _note(
        self,
        job: WebhookJob,
        *,
        attempt: int,
        reply: Reply | None = None,
        error: str | None = None,
        duration_ms: int = 0,
    ) -> None:
        if job.endpoint is None:
            return
        entry = DeliveryAttempt(
            event_id=job.event_id,
            event_type=job.event_type,
            subject=job.metadata.get(SUBJECT),
            delivery_id=job.id,
            attempt=attempt,
            at_ms=self._now_ms(),
            status_code=None if reply is None else reply.status_code,
            error=error,
            duration_ms=duration_ms if reply is None else reply.duration_ms,
            response="" if reply is None else reply.body.decode("utf-8", "replace"),
            body=job.body,
        )
        try:
            await self._log.append(job.endpoint, entry)
        except Unavailable as problem:
            # A gap in the log is better than an event that is sent twice.
            logger.warning("an attempt could not be logged", extra={"job": job.id, "cause": problem.message})


def _obstacle(endpoint: Endpoint, job: WebhookJob) -> str | None:
    """Return why nothing is sent to an endpoint."""
    if not endpoint.enabled:
        return "The webhook endpoint is disabled."
    if not endpoint.validated and job.metadata.get(PURPOSE) != CHALLENGE:
        return "The webhook endpoint has not answered its challenge."
    return None


def _is_accepted(job: WebhookJob, reply: Reply) -> bool:
    """Tell whether a receiver has taken an event."""
    return 200 <= reply.status_code < 300 and _flaw(job, reply) is None


def _flaw(job: WebhookJob, reply: Reply) -> str | None:
    """Return what is wrong with the answer to a challenge; nothing is with that to any other event."""
    if job.metadata.get(PURPOSE) != CHALLENGE or not 200 <= reply.status_code < 300:
        return None
    said = reply.body.decode("utf-8", "replace").strip().strip('"')
    return None if said == job.metadata.get(TOKEN) else "The receiver did not answer with the validation token."


@asynccontextmanager
async def _freely() -> AsyncIterator[None]:
    yield
