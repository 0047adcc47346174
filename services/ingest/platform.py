"""What the routes work with, opened once per process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast

from starlette.requests import Request

from antiphon.blobs import Blobs, open_blobs
from antiphon.bus import Bus, Caller, SessionDoor
from antiphon.calling import Aftercare, Desk
from antiphon.egress import EgressRules
from antiphon.keys import Keys
from antiphon.models import Catalogue
from antiphon.telemetry.health import Health
from antiphon.webhooks import Deliveries, Endpoints
from services.ingest.access.known_keys import KnownKeys
from services.ingest.access.limiter import Limiter
from services.ingest.access.tokens import Tokens, open_tokens
from services.ingest.chat.heard import HeardRecordings
from services.ingest.chat.remembered import RememberedAnswers
from services.ingest.chat.stored import StoredCompletions
from services.ingest.realtime.live import LiveSessions
from services.ingest.realtime.secret_orders import SecretOrders
from services.ingest.realtime.secrets import ClientSecrets
from services.ingest.realtime.sessions import Sessions
from services.ingest.settings import IngestSettings


@dataclass(frozen=True)
class Platform:
    """The bus, the blobs and the catalogue, as one process sees them."""

    settings: IngestSettings
    catalogue: Catalogue
    bus: Bus
    caller: Caller
    blobs: Blobs
    aftercare: Aftercare
    session_door: SessionDoor
    limiter: Limiter
    known_keys: KnownKeys
    tokens: Tokens | None = None

    @cached_property
    def keys(self) -> Keys:
        """Keys that an operator has made."""
        return Keys(self.bus)

    @cached_property
    def desk(self) -> Desk:
        """Where work is had done."""
        return Desk(
            bus=self.bus,
            caller=self.caller,
            blobs=self.blobs,
            aftercare=self.aftercare,
            timeout_s=self.settings.request_timeout.total_seconds(),
        )

    @cached_property
    def remembered(self) -> RememberedAnswers:
        """What was said in earlier answers."""
        return RememberedAnswers(self.bus.values, self.settings.chat.chat_audio_ttl, now_ms=self.bus.now_ms)

    @cached_property
    def heard(self) -> HeardRecordings:
        """What was heard in recordings."""
        return HeardRecordings(self.bus.values, self.settings.chat.chat_heard_ttl)

    @cached_property
    def stored(self) -> StoredCompletions:
        """Chat completions that their callers wanted kept."""
        chat = self.settings.chat
        index = self.bus.index("completions", chat.chat_store_ttl, chat.chat_stored_limit)
        return StoredCompletions(index, self.bus.values, self.blobs, chat, now_ms=self.bus.now_ms)

    @cached_property
    def sessions(self) -> Sessions:
        """What live sessions begin with."""
        return Sessions(self.catalogue, self.settings.realtime)

    @cached_property
    def live(self) -> LiveSessions:
        """The live sessions whose sockets are at this process."""
        return LiveSessions(
            door=self.session_door,
            bus=self.bus,
            caller=self.caller,
            aftercare=self.aftercare,
            settings=self.settings.realtime,
        )

    @cached_property
    def client_secrets(self) -> ClientSecrets:
        """Keys for browsers."""
        return ClientSecrets(self.bus.values, now_ms=self.bus.now_ms)

    @cached_property
    def secret_orders(self) -> SecretOrders:
        """How keys for browsers are asked for."""
        return SecretOrders(self.sessions, self.client_secrets, beta_served=self.settings.realtime.realtime_beta)

    @cached_property
    def egress(self) -> EgressRules:
        """Which URLs callers may name."""
        return EgressRules.of(self.settings.egress)

    @cached_property
    def endpoints(self) -> Endpoints:
        """Registered receivers of webhooks."""
        return Endpoints(self.bus, check_url=partial(self.egress.check_url, param="url"))

    @cached_property
    def deliveries(self) -> Deliveries:
        """What goes to receivers of webhooks, and what became of it."""
        return Deliveries(self.bus, self.caller)


@asynccontextmanager
async def open_platform(
    settings: IngestSettings, catalogue: Catalogue, *, health: Health | None = None
) -> AsyncIterator[Platform]:
    """Connect, and disconnect when what is running has been cleaned up after."""
    async with (
        Bus.open(settings.bus, health=health) as bus,
        open_blobs(settings.blobs, bus.values) as blobs,
        bus.caller() as caller,
        bus.session_door() as session_door,
        Aftercare() as aftercare,
        Limiter(bus.allowances) as limiter,
    ):
        known_keys = KnownKeys(Keys(bus), now_s=lambda: bus.now_ms() / 1000)
        async with open_tokens(settings.access, known_keys) as tokens:
            yield Platform(
                settings=settings,
                catalogue=catalogue,
                bus=bus,
                caller=caller,
                blobs=blobs,
                aftercare=aftercare,
                session_door=session_door,
                limiter=limiter,
                known_keys=known_keys,
                tokens=tokens,
            )


def platform_of(request: Request) -> Platform:
    """Return the platform that the application was opened with."""
    return cast("Platform", request.app.state.platform)
