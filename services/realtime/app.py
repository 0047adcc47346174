"""Put the realtime worker together."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from antiphon.blobs import open_blobs
from antiphon.bus import Bus
from antiphon.calling import Aftercare, Desk
from antiphon.egress import open_egress
from antiphon.models import Catalogue, WeightStore
from antiphon.schemas import RealtimeJob
from antiphon.telemetry.health import Health
from services.realtime.ears import open_ears
from services.realtime.handlers import Hold, Machines
from services.realtime.installation import Installation
from services.realtime.interpreting.interpretation import Interpretation
from services.realtime.session.conversation import Conversation
from services.realtime.settings import RealtimeSettings
from services.realtime.tools.servers import ToolServers

logger = logging.getLogger(__name__)

TURN_WEIGHTS = "smart-turn"
VOICE_WEIGHTS = "silero-vad"


@dataclass(frozen=True, kw_only=True)
class Realtime:
    """The process that holds live sessions."""

    settings: RealtimeSettings
    machines: Machines
    name: str = "realtime"

    async def serve(self, stop: asyncio.Event, health: Health) -> None:
        """Hold sessions until `stop` is set, then hand them on. Raises `Unavailable`, `WeightsMissing`."""
        settings = self.settings
        async with Bus.open(settings.session_bus, health=health) as bus:
            await bus.ping()
            async with self._hold(bus) as hold:
                # Loading leaves much that lives as long as the process: the collector need not visit it again.
                gc.collect()
                gc.freeze()
                async with bus.serve(
                    "realtime", RealtimeJob, hold, concurrency=settings.realtime_concurrency, retry=settings.retry
                ):
                    health.ready = True
                    logger.info("ready", extra={"lane": "realtime"})
                    await stop.wait()
                    logger.info("draining", extra={"lane": "realtime"})

    @asynccontextmanager
    async def _hold(self, bus: Bus) -> AsyncIterator[Hold]:
        settings = self.settings
        store = WeightStore(settings.cache_dir)
        async with AsyncExitStack() as stack:
            egress = await stack.enter_async_context(open_egress(settings.egress))
            blobs = await stack.enter_async_context(open_blobs(settings.blobs, bus.values, egress))
            ears = await stack.enter_async_context(
                open_ears(voice_folder=store.folder(VOICE_WEIGHTS), turn_folder=store.folder(TURN_WEIGHTS))
            )
            # Its own: servers that do not answer must not keep others from their recordings.
            abroad = await stack.enter_async_context(open_egress(settings.egress))
            caller = await stack.enter_async_context(bus.caller())
            aftercare = await stack.enter_async_context(Aftercare())
            timeout_s = settings.realtime_response_timeout.total_seconds()
            yield Hold(
                host=await stack.enter_async_context(bus.session_host()),
                desk=Desk(bus=bus, caller=caller, blobs=blobs, aftercare=aftercare, timeout_s=timeout_s),
                ears=ears,
                tools=ToolServers(abroad, timeout_s=settings.realtime_mcp_timeout.total_seconds()),
                installation=Installation(Catalogue.load(settings.models_file), settings),
                machines=self.machines,
                kept_audio_bytes=settings.realtime_kept_audio_bytes,
            )


def build(settings: RealtimeSettings) -> Realtime:
    """Return the process of a realtime worker."""
    machines: Machines = {"realtime": Conversation, "transcription": Conversation, "translation": Interpretation}
    return Realtime(settings=settings, machines=machines)
