"""A job that was submitted by this process and is awaited in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from antiphon.bus import FollowedEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from antiphon.bus import Call
    from antiphon.producer.producer import Producer
    from antiphon.schemas import Job, Outcome


class Handle:
    """Made by `Producer.submit`. Await the outcome, read the events, or cancel."""

    def __init__(self, producer: Producer, job: Job, call: Call) -> None:
        self.job = job
        self._producer = producer
        self._call = call
        self._left = False

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.job.id

    async def outcome(self, *, timeout_s: float | None = None) -> Outcome:
        """Wait for the end, whatever it is.

        Raises `TimeoutError` after `timeout_s`, with the job going on; ask again as often as you like.
        """
        if self._left:
            # The call has stopped to listen for its reply; the stored result says the same.
            return await self._producer.outcome(self.job.kind, self.job_id, timeout_s=timeout_s)
        self._left = True
        async with asyncio.timeout(timeout_s):
            return await self._call.outcome()

    async def events(self) -> AsyncIterator[FollowedEvent]:
        """Yield a streamed job's output, another one's progress, and last the outcome.

        To be read once: the output is deleted behind its only reader. `Producer.follow` leaves it.
        """
        if not self.job.stream:
            async for event in self._producer.follow(self.job.kind, self.job_id, streamed=False):
                yield event
            return
        async for output in self._call.events():
            yield FollowedEvent("", output.kind, output.data)

    async def cancel(self) -> bool:
        """Ask for the job to be stopped; tell whether it had not ended. Raises `Unavailable`."""
        return await self._producer.cancel(self.job.kind, self.job_id)
