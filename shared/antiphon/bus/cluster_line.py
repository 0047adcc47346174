"""A line to whichever master has a key's slot."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError

from antiphon.bus.cluster import target_of
from antiphon.bus.line import Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.bus.cluster import Address, Cluster

ASKING = pack_command(("ASKING",))
"""Goes before a command that a node runs although the slot is not its own yet."""

NOT_RUN = (AskError, TryAgainError)
"""What a node says to a command that it has not run; `MovedError` is one."""

PATIENCE_S = 5.0
"""How long a command is sent again before its caller is told. A slot that is moved key by key takes scripts only when
all of its keys have arrived."""

PAUSE_S = 0.02
"""Between two of these, after the first."""


class ClusterLine(Line):
    """Follows a slot from master to master."""

    def __init__(self, cluster: Cluster, slot: int, *, timeout_s: float | None = None) -> None:
        self._cluster = cluster
        self._slot = slot
        self._patience_s = timeout_s
        self._address: Address | None = None
        self._line: Line | None = None
        self._failed = False

    async def exchange_packed(self, packed: Sequence[bytes]) -> list[Any]:
        """Send commands on keys of the slot; those that were not run are sent again, in their order."""
        replies: list[Any] = [None] * len(packed)
        left = list(range(len(packed)))
        end_s = 0.0
        while True:
            line, address = await self._reach()
            try:
                got = await line.exchange_packed([packed[place] for place in left])
            except (RedisError, OSError):
                self._failed = True
                raise
            for place, reply in zip(left, got, strict=True):
                replies[place] = reply
            left = [place for place in left if isinstance(replies[place], NOT_RUN)]
            if not left:
                return replies
            await self._ask(packed, replies, left, address)
            left = [place for place in left if isinstance(replies[place], NOT_RUN)]
            now_s = time.monotonic()
            if not left or (end_s and now_s > end_s):
                return replies
            if end_s or not isinstance(replies[left[0]], MovedError):
                await asyncio.sleep(PAUSE_S)
            end_s = end_s or now_s + PATIENCE_S

    async def close(self) -> None:
        """Close the connection; a later exchange opens one to whoever has the slot then."""
        if self._line is not None:
            await self._line.close()

    async def _reach(self) -> tuple[Line, Address]:
        if self._failed or self._cluster.owner(self._slot) is None:
            await self._cluster.refresh()
            self._failed = False
        address = self._cluster.owner(self._slot)
        if address is None:
            raise ClusterDownError(f"no master has the slot {self._slot}")
        if self._line is None or address != self._address:
            await self.close()
            self._line, self._address = self._cluster.line(address, timeout_s=self._patience_s), address
        return self._line, address

    async def _ask(self, packed: Sequence[bytes], replies: list[Any], places: Sequence[int], told_by: Address) -> None:
        """Follow what a node said of commands that it has not run."""
        for place in places:
            redirect = replies[place]
            if isinstance(redirect, MovedError):
                self._cluster.learn(redirect, told_by=told_by)
            elif isinstance(redirect, AskError):
                line = self._cluster.line(target_of(redirect, told_by=told_by), timeout_s=self._patience_s)
                try:
                    replies[place] = (await line.exchange_packed([ASKING, packed[place]]))[1]
                finally:
                    await line.close()
