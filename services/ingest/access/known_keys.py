"""Keys that an operator has made, as one process knows them.

They are asked for again every second, so that a revoked one is soon refused, and remembered for a minute while the
bus cannot be asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from antiphon.errors import Unavailable
from antiphon.keys import KeyRecord, Keys, digest_of, is_key

T = TypeVar("T")

FRESH_S = 1.0
REMEMBERED_S = 60.0
_NOTED_S = 60.0
"""Between two notes that a key is in use."""
_MOST = 10_000
_PATIENCE_S = 5.0
_SHORT_PATIENCE_S = 0.25
"""How long the bus is waited for about a key that is known from before."""
_AGAIN_S = 1.0
"""How long it is left alone after it did not answer."""


@dataclass(slots=True)
class _Known:
    """`record` as it was at `seen_s`; it is asked for again from `again_s` on."""

    record: KeyRecord
    seen_s: float
    again_s: float
    noted_s: float


class KnownKeys:
    """Finds keys. Every method raises `Unavailable` where only the bus could tell, and it is away."""

    def __init__(
        self, keys: Keys, *, now_s: Callable[[], float], fresh_s: float = FRESH_S, remembered_s: float = REMEMBERED_S
    ) -> None:
        """`now_s` is the server's clock, in epoch seconds."""
        self._keys = keys
        self._now_s = now_s
        self._fresh_s = fresh_s
        self._remembered_s = remembered_s
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        """Until when nobody is asked about what was not found. Apart, so that guesses drive no key out."""

    async def find(self, key: str) -> KeyRecord | None:
        """Return the record of a key that is let in now. What does not look like a key costs nothing."""
        if not is_key(key):
            return None
        digest = digest_of(key)
        record = await self._get(digest, lambda: self._keys.find(digest))
        return record if record is not None and record.opens(digest, self._now_s()) else None

    async def get(self, key_id: str) -> KeyRecord | None:
        """Return the record of a key with this id, if it has not ended."""
        record = await self._get(key_id, lambda: self._keys.look_up(key_id))
        return record if record is not None and record.state(self._now_s()) == "active" else None

    async def _get(self, name: str, ask: Callable[[], Awaitable[KeyRecord | None]]) -> KeyRecord | None:
        known, at_s = self._known.get(name), time.monotonic()
        if known is not None and at_s < known.again_s:
            return known.record
        if self._unknown.get(name, 0.0) > at_s:
            return None
        remembered = known if known is not None and at_s - known.seen_s < self._remembered_s else None
        try:
            async with asyncio.timeout(_SHORT_PATIENCE_S if remembered else _PATIENCE_S):
                record = await ask()
        except (Unavailable, TimeoutError):
            if remembered is None:
                raise Unavailable(
                    "API keys cannot be checked now. Please try again shortly.", retry_after_s=2.0
                ) from None
            remembered.again_s = at_s + _AGAIN_S
            return remembered.record
        self._known.pop(name, None)
        if record is None:
            _put(self._unknown, name, at_s + self._fresh_s)
            return None
        noted_s = known.noted_s if known is not None else -_NOTED_S
        if at_s - noted_s >= _NOTED_S and record.state(self._now_s()) == "active":
            self._keys.note_use(record.id)
            noted_s = at_s
        # At the end again: the one that was not used for longest makes room.
        _put(self._known, name, _Known(record, at_s, at_s + self._fresh_s, noted_s))
        return record


def _put(entries: dict[str, T], name: str, entry: T) -> None:
    entries.pop(name, None)
    entries[name] = entry
    if len(entries) > _MOST:
        del entries[next(iter(entries))]
