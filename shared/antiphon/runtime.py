"""Run one process of the platform: settings in, signals, telemetry, an exit code out."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import uvloop

from antiphon.blobs import Blobs, open_blobs
from antiphon.bus import Bus
from antiphon.egress import open_egress
from antiphon.errors import AntiphonError
from antiphon.schemas import JOB_SCHEMAS, Kind
from antiphon.settings import CANNOT_START, process_name
from antiphon.stopping import StopRequest
from antiphon.telemetry import configure_logging, configure_tracing
from antiphon.telemetry.health import Health
from antiphon.telemetry.watching import watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from antiphon.bus import Handler
    from antiphon.bus.policy import RetryPolicy
    from antiphon.bus.settlement import Settled
    from antiphon.settings import ProcessSettings, WorkerSettings

logger = logging.getLogger(__name__)

TRY_AGAIN = 75
"""Exit code of a process that may start a moment later: EX_TEMPFAIL."""


class App(Protocol):
    """A process of the platform."""

    @property
    def name(self) -> str:
        """Name in logs and traces."""
        ...

    @property
    def settings(self) -> ProcessSettings:
        """What it was started with."""
        ...

    async def serve(self, stop: StopRequest, health: Health) -> None:
        """Work until `stop` is set, then end in order, and at once after `stop.hurry`; keep `health` up to date.

        Raises `AntiphonError` when it cannot start.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process that takes the jobs of one lane."""

    name: str
    lane: Kind
    settings: WorkerSettings
    concurrency: int
    open: Callable[[Blobs], AbstractAsyncContextManager[Handler[Any]]]
    """Loads what the handler needs, and frees it at the end."""
    retry: RetryPolicy | None = None
    """The lane's own policy, in place of the settings'."""
    settled: Callable[[Blobs], Settled] | None = None
    """Makes what is told of each job that has ended here for good: how, and whether it became a dead letter."""

    async def serve(self, stop: asyncio.Event, health: Health) -> None:
        """Load, take jobs until told to stop, drain."""
        async with Bus.open(self.settings.bus, health=health) as bus:
            # Before the model is loaded, which takes seconds.
            await bus.ping()
            await self._serve(bus, stop, health)

    async def _serve(self, bus: Bus, stop: asyncio.Event, health: Health) -> None:
        async with (
            open_egress(self.settings.egress) as egress,
            open_blobs(self.settings.blobs, bus.values, egress) as blobs,
            self.open(blobs) as handler,
        ):
            # Loading leaves much that lives as long as the process: the collector need not visit it again.
            gc.collect()
            gc.freeze()
            settled = self.settled(blobs) if self.settled else None
            schema = JOB_SCHEMAS[self.lane]
            async with bus.serve(
                self.lane, schema, handler, concurrency=self.concurrency, retry=self.retry, settled=settled
            ):
                health.ready = True
                logger.info("ready", extra={"lane": self.lane})
                await stop.wait()
                logger.info("draining", extra={"lane": self.lane})


def run(app: App) -> NoReturn:
    """Run until SIGTERM or SIGINT, then exit with 0.

    What cannot start says why in one line on stderr, and exits with 75 if it may a moment later, else with 78.
    """
    configure_logging(app.name, level=app.settings.log_level)
    flush = configure_tracing(app.name, instance=process_name())
    try:
        uvloop.run(_serve(app))
    except AntiphonError as error:
        sys.stderr.write(f"{app.name} cannot start: {' '.join(error.message.split())}\n")
        # What says when to come back is a matter of time; anything else would end the same way again.
        raise SystemExit(CANNOT_START if error.retry_after_s is None else TRY_AGAIN) from None
    finally:
        flush()
    raise SystemExit(0)


async def _serve(app: App) -> None:
    watch = app.settings.watch
    with StopRequest().on_signals() as stop:
        health = Health(stop, stuck_s=watch.stuck_after.total_seconds())
        async with watched(watch, health):
            await app.serve(stop, health)
