"""A realtime worker of its own whose sessions echo: `python -m tests.integration.realtime.driver_worker`."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from services.realtime.settings import RealtimeSettings
from tests.integration.realtime.driver_scene import holding


async def serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with holding(RealtimeSettings.from_environment()):
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve())
