"""Runs a recogniser in threads, in the scheduler's order, for callers on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from antiphon.memory import return_memory
from antiphon.recognition.engine import Decoded, Recognizer, Window
from antiphon.recognition.scheduler import Scheduler, Ticket
from antiphon.schemas import Priority
from antiphon.telemetry.instruments import BATCH_SIZE

_RESTED_S = 1.0
"""Without work for this long, memory is given back; sooner, it would only be taken again."""


@dataclass(slots=True, eq=False)
class _Place:
    """A window that waits, or is being recognised."""

    window: Window
    decoded: asyncio.Future[Decoded]
    since_s: float = field(default_factory=time.monotonic)
    taken_s: float | None = None


class Turns:
    """The turns of one job."""

    def __init__(self, driver: Driver, *, job: str, priority: Priority) -> None:
        self.windows = 0
        """Windows that were recognised."""
        self.waited_s = 0.0
        """Time that windows have waited for their turn."""
        self.engine_s = 0.0
        """Time that the engine had them; the same for all that share a call."""
        self._driver = driver
        self._job = job
        self._priority = priority

    async def decode(self, window: Window) -> Decoded:
        """Recognise `window` when it is its turn. Cancelled, it gives up its place."""
        return await self._driver.decode(window, job=self._job, priority=self._priority, turns=self)

    def note(self, *, waited_s: float, engine_s: float) -> None:
        """Note how a window has fared."""
        self.windows += 1
        self.waited_s += waited_s
        self.engine_s += engine_s


class Driver:
    """Belongs to one event loop. Use it as a block: leaving it waits for the calls in progress.

    `lane` is whose figures its calls belong to.
    """

    def __init__(self, recognizer: Recognizer, *, lane: str = "transcribe") -> None:
        self.recognizer = recognizer
        self._batches = BATCH_SIZE.labels(lane)
        self._scheduler = Scheduler()
        self._numbers = itertools.count()
        self._idle = recognizer.parallel
        self._waiting: dict[Ticket, _Place] = {}
        self._leaving = False
        self._rest: asyncio.TimerHandle | None = None
        self._threads = ThreadPoolExecutor(max_workers=recognizer.parallel, thread_name_prefix="recognizer")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving = True
        self._wake()
        for place in self._waiting.values():
            place.decoded.cancel()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    @contextlib.contextmanager
    def turns(self, *, job: str, priority: Priority) -> Iterator[Turns]:
        """Take part as `job` while the block runs."""
        try:
            yield Turns(self, job=job, priority=priority)
        finally:
            self._scheduler.forget(job)

    async def decode(self, window: Window, *, job: str, priority: Priority, turns: Turns | None = None) -> Decoded:
        """Recognise a window of `job` when it is its turn."""
        ticket = Ticket(
            number=next(self._numbers), job=job, priority=priority, likeness=self.recognizer.likeness(window)
        )
        place = _Place(window, asyncio.get_running_loop().create_future())
        self._waiting[ticket] = place
        self._scheduler.add(ticket)
        self._start()
        try:
            decoded = await place.decoded
            if turns is not None and place.taken_s is not None:
                turns.note(waited_s=place.taken_s - place.since_s, engine_s=time.monotonic() - place.taken_s)
            return decoded
        finally:
            self._scheduler.drop(ticket)
            self._waiting.pop(ticket, None)

    def _start(self) -> None:
        """Start as many calls as can run."""
        while (
            not self._leaving
            and self._idle
            and (tickets := self._scheduler.take(idle=self._idle, batch=self.recognizer.batch))
        ):
            self._idle -= 1
            self._wake()
            places = [self._waiting.pop(ticket) for ticket in tickets]
            self._batches.observe(len(places))
            for place in places:
                place.taken_s = time.monotonic()
            windows, futures = [place.window for place in places], [place.decoded for place in places]
            call = asyncio.get_running_loop().run_in_executor(self._threads, self.recognizer.decode, windows)
            call.add_done_callback(partial(self._settle, futures))

    def _settle(self, futures: Sequence[asyncio.Future[Decoded]], call: asyncio.Future[list[Decoded]]) -> None:
        self._idle += 1
        error = asyncio.CancelledError() if call.cancelled() else call.exception()
        for index, future in enumerate(futures):
            if future.done():  # whoever waited has left
                continue
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(call.result()[index])
        self._start()
        if self._idle == self.recognizer.parallel and not self._leaving:
            self._wake()
            self._rest = asyncio.get_running_loop().call_later(_RESTED_S, self._threads.submit, return_memory)

    def _wake(self) -> None:
        if self._rest:
            self._rest.cancel()
            self._rest = None
