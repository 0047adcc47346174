"""The keys in a server, by name: what requests leave behind, and for how long."""

from __future__ import annotations

import re

import redis.asyncio

from antiphon.planning.measured import Kept

Sizes = dict[str, tuple[int, float, float]]
"""For each name of a key, without ids: how many there are, their bytes, the longest they will live in seconds."""

_NAME = re.compile(r"[^:{}]+")


async def sizes_of_keys(url: str) -> Sizes:
    """Look at every key of a server."""
    sizes: Sizes = {}
    async with redis.asyncio.from_url(url) as server:
        async for key in server.scan_iter(count=500):
            size, ttl_s = await server.memory_usage(key, samples=0), await server.ttl(key)
            match = _NAME.match(key.decode())
            name = match.group() if match else ""
            count, total, longest_s = sizes.get(name, (0, 0.0, 0.0))
            sizes[name] = count + 1, total + (size or 0), max(longest_s, float(ttl_s))
    return sizes


def left_behind(before: Sizes, after: Sizes, *, requests: int) -> tuple[Kept, ...]:
    """Return the keys with an end that came, for each of so many requests."""
    found = []
    for name, (count, size, ttl_s) in after.items():
        known, known_size, _ = before.get(name, (0, 0.0, 0.0))
        if count > known and ttl_s > 0:
            each = max(0.0, round((size - known_size) / (count - known)))
            found.append(Kept(name=name, count=(count - known) / requests, bytes=each, ttl_s=round(ttl_s)))
    return tuple(sorted(found, key=lambda kept: kept.name))
