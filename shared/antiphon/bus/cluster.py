"""Which master of a cluster has which slot: learned from its nodes, mended by what they say later."""

from __future__ import annotations

import asyncio
import random
import time
from binascii import crc_hqx
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, RedisError

from antiphon.bus.line import Line, line_over

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOTS = 16384

_ASK_EVERY_S = 0.1
"""Between two questions for the map: a cluster that fails over is asked again and again."""
_TIMEOUT_S = 1.5
"""For one node to tell the map; the next one may know it."""

Address = tuple[str, int]
"""Host and port of a node."""


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key, or of its hash tag."""
    raw = key.encode() if isinstance(key, str) else key
    start = raw.find(b"{")
    if start >= 0:
        end = raw.find(b"}", start + 1)
        if end > start + 1:
            raw = raw[start + 1 : end]
    return crc_hqx(raw, 0) % SLOTS


class Cluster:
    """The map of a cluster, and connections to its nodes."""

    def __init__(self, seeds: Sequence[Address], options: dict[str, Any]) -> None:
        """`seeds` are asked first; `options` are those of a client's connections."""
        self._seeds = list(seeds)
        self._options = options
        self._owners: list[Address | None] = [None] * SLOTS
        self._known: set[Address] = set()
        self._asking = asyncio.Lock()
        self._asked_s = self._told_s = float("-inf")

    def owner(self, slot: int) -> Address | None:
        """Return the master that has a slot, as far as is known."""
        return self._owners[slot]

    def masters(self) -> list[Address]:
        """Return all masters that have slots, as far as is known."""
        return sorted({owner for owner in self._owners if owner is not None})

    def line(self, address: Address, *, timeout_s: float | None = None) -> Line:
        """Return a connection of its own to a node."""
        host, port = address
        return line_over(Redis(host=host, port=port, **self._options), timeout_s=timeout_s)

    def learn(self, moved: MovedError, *, told_by: Address) -> None:
        """Note who has a slot now."""
        address = target_of(moved, told_by=told_by)
        self._owners[moved.slot_id] = address
        self._known.add(address)

    async def refresh(self) -> None:
        """Ask for the whole map, unless somebody else has done so meanwhile.

        Raises `redis.ConnectionError` when no node tells it.
        """
        wanted_s = time.monotonic()
        async with self._asking:
            if self._told_s > wanted_s:
                return
            await asyncio.sleep(max(0.0, self._asked_s + _ASK_EVERY_S - time.monotonic()))
            self._asked_s = time.monotonic()
            for address in self._candidates():
                if rows := await self._ask(address):
                    self._take(rows, told_by=address)
                    self._told_s = time.monotonic()
                    return
        raise RedisConnectionError("no node of the cluster tells who has which slot")

    def _candidates(self) -> list[Address]:
        # Another one each time: one that was cut off from the others tells an old map for a while.
        known = random.sample(sorted(self._known), len(self._known))
        return known + [address for address in self._seeds if address not in self._known]

    async def _ask(self, address: Address) -> Sequence[Any]:
        line = self.line(address, timeout_s=_TIMEOUT_S)
        try:
            (reply,) = await line.exchange([("CLUSTER", "SLOTS")])
        except (RedisError, OSError):
            return ()
        finally:
            await line.close()
        return () if isinstance(reply, Exception) else reply

    def _take(self, rows: Sequence[Any], *, told_by: Address) -> None:
        owners: list[Address | None] = [None] * SLOTS
        known: set[Address] = set()
        for first, last, *nodes in rows:
            addresses = [_address(node, told_by) for node in nodes]
            known.update(address for address in addresses if address is not None)
            owners[first : last + 1] = [addresses[0]] * (last + 1 - first)
        self._owners, self._known = owners, known


def target_of(redirect: Any, *, told_by: Address) -> Address:
    """Return where a MOVED or ASK error sends its command."""
    # A node that does not know its own name means the one under which it was reached.
    return redirect.host or told_by[0], redirect.port


def _address(node: Sequence[Any], told_by: Address) -> Address | None:
    host = node[0].decode() if isinstance(node[0], bytes) else node[0]
    return None if host == "?" else (host or told_by[0], int(node[1]))
