"""Put the webhook service together: a follower of events, and a worker on the lane `webhook`."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from antiphon.bus import Bus
from antiphon.egress import open_egress
from antiphon.schemas import WebhookJob
from antiphon.telemetry.health import Health
from antiphon.webhooks import Deliveries, Endpoints
from services.webhooks.following import Follower
from services.webhooks.handlers import Deliver
from services.webhooks.settings import WebhookSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Webhooks:
    """The process that sends events."""

    settings: WebhookSettings
    name: str = "webhooks"

    async def serve(self, stop: asyncio.Event, health: Health) -> None:
        """Follow and deliver until `stop` is set, then drain. Raises `Unavailable` when the bus is away."""
        async with Bus.open(self.settings.bus, health=health) as bus:
            await bus.ping()
            async with open_egress(self.settings.egress) as egress, bus.caller() as caller:
                endpoints = Endpoints(bus, check_url=egress.check_url)
                follower = Follower(bus, endpoints, Deliveries(bus, caller), pulse=health.loop("events"))
                deliver = Deliver(bus, egress, self.settings)
                await self._serve(stop, bus, deliver, follower, health)

    async def _serve(self, stop: asyncio.Event, bus: Bus, deliver: Deliver, follower: Follower, health: Health) -> None:
        async with bus.serve(
            "webhook",
            WebhookJob,
            deliver,
            concurrency=self.settings.webhook_concurrency,
            retry=self.settings.retry,
        ):
            health.ready = True
            logger.info("ready", extra={"lane": "webhook"})
            await follower.run(stop)
            logger.info("draining", extra={"lane": "webhook"})


def build(settings: WebhookSettings) -> Webhooks:
    """Return the process of the webhook service."""
    return Webhooks(settings)
