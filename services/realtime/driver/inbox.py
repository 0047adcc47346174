"""Where everything that happens to a session meets, in the order in which it came."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")

_LIMIT = 64


class Inbox(Generic[T]):
    """A queue that is emptied at once, so that what has piled up leads to one commit and not to many."""

    def __init__(self, *, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._things: list[T] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    def put_now(self, thing: T) -> None:
        """Add something, however full it is."""
        self._things.append(thing)
        self._arrived.set()

    async def put(self, thing: T) -> None:
        """Add something; waits while there is too much, so that the rest stays on the bus."""
        while len(self._things) >= self._limit:
            self._room.clear()
            await self._room.wait()
        self.put_now(thing)

    async def take(self) -> list[T]:
        """Wait for something, and take all that is there."""
        while not self._things:
            self._arrived.clear()
            await self._arrived.wait()
        taken, self._things = self._things, []
        self._room.set()
        return taken
