"""The limits of keys, as one process keeps them: what requests take, what live sessions use, who still runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Self

from antiphon.bus import Allowances, Standing
from antiphon.errors import Unavailable
from antiphon.telemetry.instruments import LIMITED
from services.ingest.access.live_meter import LiveMeter
from services.ingest.access.principal import Grant
from services.ingest.access.refusals import REFUSALS, LimitReached

_LOG = logging.getLogger("antiphon.ingest")
_HOLD_S = 30.0
"""How long the requests of a process that has died count as running."""
_TICK_S = 1.0
_PATIENCE_S = 2.0
_SHORT_PATIENCE_S = 0.25
_TRUE_S = 0.2
"""How long what the server has said counts as true."""


class Refused(Exception):
    """A request that was not let through, and how its account stands."""

    def __init__(self, error: LimitReached, standing: Standing) -> None:
        super().__init__(error.message)
        self.error = error
        self.standing = standing


class Admitted:
    """A request that was let through."""

    def __init__(self, allowances: Allowances, grant: Grant, standing: Standing) -> None:
        self._allowances = allowances
        self._grant = grant
        self._standing = standing
        self._seen_s = time.monotonic()

    async def standing(self) -> Standing:
        """Return how its account stands now, as far as can be known soon."""
        elapsed_s = time.monotonic() - self._seen_s
        if elapsed_s < _TRUE_S:
            return self._standing
        try:
            async with asyncio.timeout(_SHORT_PATIENCE_S):
                return await self._allowances.look(self._grant.account, self._grant.limits)
        except (Unavailable, TimeoutError):
            return self._standing.after(elapsed_s)


class Limiter:
    """Lets requests through or refuses them. `async with` runs what goes on in the background."""

    def __init__(self, allowances: Allowances, *, hold_s: float = _HOLD_S, tick_s: float = _TICK_S) -> None:
        """`hold_s` is how long a request counts as running by itself, `tick_s` how often live sessions are charged."""
        self._allowances = allowances
        self._hold_s = hold_s
        self._tick_s = tick_s
        self._running: dict[str, set[str]] = {}
        """Names of requests that have a place, by account."""
        self._meters: set[LiveMeter] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="limits")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def admitted(self, grant: Grant, *, works: bool) -> AsyncIterator[Admitted | None]:
        """Let a request through while the block runs; one that `works` takes a place and needs audio to be left.

        None: the bus is away, and nobody counts. Raises `Refused`.
        """
        account, limits = grant.account, grant.limits
        name = secrets.token_hex(8) if works and limits.concurrency else None
        if name is not None:
            # Before it is asked for: who is cut off while asking may have got it.
            self._running.setdefault(account, set()).add(name)
        try:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    standing = await self._allowances.take(
                        account, limits, running=name, hold_s=self._hold_s, needs_audio=works
                    )
            except (Unavailable, TimeoutError) as error:
                # Whoever wants work done is told so by the lane.
                _LOG.warning("a limit could not be checked: %r", error)
                yield None
                return
            if standing.short is not None:
                LIMITED.labels(standing.short).inc()
                raise Refused(REFUSALS[standing.short](grant, standing), standing)
            yield Admitted(self._allowances, grant, standing)
        finally:
            if name is not None:
                self._leave(account, name)

    @contextlib.contextmanager
    def metering(self, grant: Grant) -> Iterator[LiveMeter | None]:
        """Count the sound of a live session while the block runs; None where there is no limit."""
        if grant.meter is None:
            yield None
            return
        meter = LiveMeter(grant, grant.meter)
        self._meters.add(meter)
        try:
            yield meter
        finally:
            self._meters.discard(meter)
            self._allowances.charge_rest(meter.meter, meter.take_s())

    def _leave(self, account: str, name: str) -> None:
        running = self._running[account]
        running.discard(name)
        if not running:
            del self._running[account]
        self._allowances.leave(account, name)

    async def _run(self) -> None:
        refreshed_s = time.monotonic()
        while True:
            await asyncio.sleep(self._tick_s)
            await asyncio.gather(*(self._charge(meter) for meter in tuple(self._meters)))
            if time.monotonic() - refreshed_s >= self._hold_s / 3:
                refreshed_s = time.monotonic()
                for account, running in self._running.items():
                    self._allowances.occupy(account, tuple(running), hold_s=self._hold_s)

    async def _charge(self, meter: LiveMeter) -> None:
        seconds = meter.take_s()
        if not seconds and not meter.exhausted:
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                meter.told(await self._allowances.charge(meter.meter, seconds))
        except (Unavailable, TimeoutError):
            # Whether it was taken is not known; who cannot be asked gives it away.
            return
