"""The drivers of one model: for jobs that somebody waits for, and for bulk jobs.

A window that is being recognised cannot be interrupted, and takes seconds. So bulk jobs have a copy of the model whose
threads step back: the system takes the processor from them in the moment in which another window wants it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from antiphon.background import step_back
from antiphon.recognition.driver import Driver
from antiphon.recognition.engine import Recognizer
from antiphon.schemas import Priority


class Drivers:
    """Use it as a block. The copy is loaded when the first bulk job comes: it takes memory, and that job can wait.

    `apart` false means no copy: bulk windows are then recognised when no other window waits. `lane` is whose figures
    the model's calls belong to.
    """

    def __init__(self, load: Callable[[], Recognizer], *, apart: bool, lane: str = "transcribe") -> None:
        """Take what loads the model; it blocks."""
        self._load = load
        self._apart = apart
        self._lane = lane
        self._stack = AsyncExitStack()
        self._copy: asyncio.Task[Driver] | None = None

    async def __aenter__(self) -> Self:
        """Load the model. Raises what loading raises."""
        recognizer = await asyncio.to_thread(self._load)
        self._prompt = await self._stack.enter_async_context(Driver(recognizer, lane=self._lane))
        # Priorities of threads mean nothing to another device, and its memory is dear.
        self._apart = self._apart and self.recognizer.device == "cpu"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._copy is not None:
            await asyncio.gather(self._copy, return_exceptions=True)
        await self._stack.aclose()

    @property
    def recognizer(self) -> Recognizer:
        """The model, to be asked what it knows."""
        return self._prompt.recognizer

    async def of(self, priority: Priority) -> Driver:
        """Return the driver for a job. Raises what loading raises."""
        if not self._apart or priority != "bulk":
            return self._prompt
        if self._copy is None or (self._copy.done() and (self._copy.cancelled() or self._copy.exception())):
            self._copy = asyncio.create_task(self._open_copy(), name="load a copy of the model")
        # Whoever gives up waiting leaves the copy to the others.
        return await asyncio.shield(self._copy)

    async def _open_copy(self) -> Driver:
        # The model's own threads come of the one that loads it, and step back as it does. Python's threads do not: one
        # that is held up while it has the interpreter's lock holds up all of them.
        with ThreadPoolExecutor(1, "load", initializer=step_back) as thread:
            recognizer = await asyncio.get_running_loop().run_in_executor(thread, self._load)
        return await self._stack.enter_async_context(Driver(recognizer, lane=self._lane))
