"""What remains to be done once a caller has been answered, or has left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_LOG = logging.getLogger(__name__)


class Aftercare:
    """Owns small background tasks; leaving the block waits for them, within limits."""

    def __init__(self, *, patience_s: float = 2.0) -> None:
        self._patience_s = patience_s
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` in the background; log what goes wrong in it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def __aenter__(self) -> Aftercare:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for the tasks, then cancel those that are left."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._patience_s)
        left = tuple(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.warning("cleaning up after a request failed", exc_info=error)
