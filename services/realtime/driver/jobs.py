"""The jobs of one session that run, each read by a task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from antiphon.bus import Call
from antiphon.calling import Desk
from antiphon.errors import AntiphonError, Failure, Unavailable
from services.realtime.driver.orders import Order
from services.realtime.session.happenings import Happening

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.bus import OutputEvent

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Errand:
    """An order that is being carried out."""

    order: Order
    call: Call | None = None
    task: asyncio.Task[None] | None = None
    dropped: bool = False
    """Nobody wants to hear of it any more."""


@dataclass(frozen=True, slots=True)
class News:
    """What has come of an errand; None when it has ended, and its output may be deleted once that is committed."""

    errand: Errand
    happening: Happening | None


class Jobs:
    """Owns the errands of a session. Their tasks are `group`'s; to end them leaves the jobs themselves alone."""

    def __init__(self, desk: Desk, group: asyncio.TaskGroup, tell: Callable[[News], Awaitable[None]]) -> None:
        self._desk = desk
        self._group = group
        self._tell = tell
        self._errands: dict[str, Errand] = {}

    def begin(self, order: Order) -> None:
        """Carry out an order, or join the job where a worker before this one has begun with it."""
        if order.job_id in self._errands:
            return
        errand = self._errands[order.job_id] = Errand(order)
        errand.task = self._group.create_task(self._run(errand))

    def drop(self, job_id: str) -> None:
        """Nothing more of this job is told from now on. `cancel_dropped` has to follow."""
        if errand := self._errands.get(job_id):
            errand.dropped = True

    def drop_owned(self, owner: str) -> None:
        """Do that with all jobs of an item or a response."""
        for errand in self._errands.values():
            errand.dropped = errand.dropped or errand.order.owner == owner

    def drop_all(self) -> None:
        """Do that with all jobs."""
        for errand in self._errands.values():
            errand.dropped = True

    def cancel_dropped(self) -> None:
        """Cancel the jobs that nobody wants to hear of any more."""
        for job_id, errand in list(self._errands.items()):
            if errand.dropped:
                del self._errands[job_id]
                if errand.task is not None:
                    errand.task.cancel()
                self._desk.aftercare.adopt(self._cancel(errand))

    def end(self, errand: Errand) -> None:
        """Forget an errand that has ended; its end is committed."""
        if self._errands.get(errand.order.job_id) is errand:
            del self._errands[errand.order.job_id]
        if errand.call is not None:
            errand.call.discard_output()

    def leave(self) -> None:
        """Follow nothing any more, and cancel nothing: a successor goes on with all of it."""
        for errand in self._errands.values():
            if errand.task is not None:
                errand.task.cancel()

    async def _run(self, errand: Errand) -> None:
        order = errand.order
        try:
            await self._follow(errand)
        except AntiphonError as error:
            await self._tell(News(errand, order.failed(error.info())))
        except Exception as error:
            logger.exception("a job of a session failed", extra={"lane": order.kind, "job": order.job_id})
            failure = Failure(f"The {order.kind} job failed inside the server ({type(error).__name__}).")
            await self._tell(News(errand, order.failed(failure.info())))
        finally:
            if errand.call is not None:
                errand.call.abandon()
        await self._tell(News(errand, None))

    async def _follow(self, errand: Errand) -> None:
        errand.call = await self._submit(errand.order)
        events = cast("AsyncGenerator[OutputEvent, None]", errand.call.events(keep=True))
        async with aclosing(events):
            async for event in events:
                for happening in errand.order.read(event):
                    await self._tell(News(errand, happening))

    async def _submit(self, order: Order) -> Call:
        desk = self._desk
        if not await desk.bus.attended(order.kind):
            raise Unavailable(f"No worker for '{order.kind}' is running. Please try again later.", retry_after_s=10.0)
        audio = None
        if order.audio is not None:
            audio = await desk.blobs.put(order.audio, media_type="audio/wav")
        try:
            return await desk.caller.submit(
                order.job(audio), priority=desk.ceiling, expires_in_s=desk.timeout_s, resume=True
            )
        except Exception:
            # From its admission on, the job sees to its audio itself; who is interrupted here cannot tell.
            if audio is not None:
                desk.aftercare.adopt(desk.blobs.delete(audio))
            raise

    async def _cancel(self, errand: Errand) -> None:
        # Not by the call: it may be on its way still.
        await self._desk.caller.cancel(errand.order.kind, errand.order.job_id)
        if errand.call is not None:
            errand.call.discard_output()
