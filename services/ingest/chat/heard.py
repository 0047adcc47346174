"""What was heard in recordings: a conversation sends all of them again with every turn."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict, dataclass
from datetime import timedelta

import orjson

from antiphon.bus import Values

MAX_BYTES = 256 * 1024
"""Longest transcript that is kept, encoded; it would take hours to say one that is longer."""

_LARGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of a recording, and its length in seconds."""

    text: str
    duration_s: float


class HeardRecordings:
    """Transcripts by tenant, model and the recording's own bytes. Every method raises `Unavailable`."""

    def __init__(self, values: Values, ttl: timedelta) -> None:
        self._values = values
        self._ttl = ttl

    async def get(self, fingerprint: str, *, tenant: str, model: str) -> Heard | None:
        """Return what `model` has heard, and keep it for another while."""
        key = _key(fingerprint, tenant=tenant, model=model)
        data = await self._values.get(key)
        if data is None:
            return None
        values = orjson.loads(data)
        await self._values.put(key, data, self._ttl)
        return Heard(text=values["text"], duration_s=values["duration_s"])

    async def put(self, fingerprint: str, heard: Heard, *, tenant: str, model: str) -> None:
        """Keep what `model` has heard, unless it is too much: then it is recognised again."""
        data = orjson.dumps(asdict(heard))
        if len(data) <= MAX_BYTES:
            await self._values.put(_key(fingerprint, tenant=tenant, model=model), data, self._ttl)


async def fingerprint_of(data: bytes) -> str:
    """Return what names the bytes of a recording."""
    if len(data) < _LARGE_BYTES:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


def _key(fingerprint: str, *, tenant: str, model: str) -> str:
    # The name of a model may hold anything.
    digest = hashlib.sha256(f"{fingerprint}:{model}".encode()).hexdigest()
    return f"chat:heard:{tenant}:{digest}"
