"""The audio of items, kept for those who retrieve them, for recognition, and to be cut where a listener cut in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol, Self

import orjson

FIELD = "driver_kept"

FOUND_BYTES = 5_500_000
"""Most audio of one item that is found: as base64 in one event it has to fit into a frame of 8 MiB."""

BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
_SILENCE = {"audio/pcm": b"\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}

_Part = tuple[str, int]
"""An item and the index of its content."""


class Values(Protocol):
    """The part of the bus's values that is needed here. Every method raises `Unavailable`."""

    async def put(self, key: str, data: bytes, ttl: timedelta) -> None:
        """Keep a value."""
        ...

    async def append(self, key: str, data: bytes, ttl: timedelta) -> None:
        """Lengthen a value."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return a value."""
        ...

    async def drop(self, key: str) -> None:
        """Forget a value."""
        ...


class KeptAudio:
    """The audio of one session's items, up to a number of bytes; the oldest goes first.

    What is noted goes into the snapshot, what is written follows its commit: after a crash in between, a part may be
    shorter than was noted. It is filled up with silence then, so that its times stay true.
    """

    def __init__(self, values: Values, session_id: str, *, limit_bytes: int, ttl: timedelta) -> None:
        self.changed = False
        """Whether what is noted has changed since `write_down`."""
        self._values = values
        self._prefix = f"session:{{realtime}}:{session_id}:audio"
        self._limit_bytes = limit_bytes
        self._ttl = ttl
        self._parts: dict[_Part, tuple[int, str]] = {}
        """How long each part is, in bytes, and its format, the oldest first."""
        self._inherited: set[_Part] = set()
        """Parts of a worker before this one, which may be shorter than noted."""
        self._total_bytes = 0
        self._dropped: list[_Part] = []
        self._given_up: set[_Part] = set()
        """Parts that had to go: their rest alone is worth nothing."""

    def read(self, snapshot: Mapping[str, bytes]) -> Self:
        """Take up what a snapshot says."""
        if written := snapshot.get(FIELD):
            self._parts = {(item, index): (size, format) for item, index, size, format in orjson.loads(written)}
            self._inherited = set(self._parts)
            self._total_bytes = sum(size for size, _ in self._parts.values())
        return self

    def write_down(self) -> bytes:
        """Return what is noted as the value of its field."""
        self.changed = False
        return orjson.dumps([[*part, *noted] for part, noted in self._parts.items()])

    async def keep(self, item_id: str, index: int, data: bytes, *, format: str) -> None:
        """Keep the whole of a part. To be done before the commit: a successor would do just the same."""
        part = (item_id, index)
        self._note(part, len(data), format)
        self._inherited.discard(part)
        if part in self._parts:
            await self._values.put(self._key(part), data, self._ttl)

    def note(self, item_id: str, index: int, size: int, *, format: str) -> int:
        """Note that a part becomes longer, and return where; `add` has to follow, once that is committed."""
        part = (item_id, index)
        start = self._parts.get(part, (0, format))[0]
        if part not in self._given_up:
            self._note(part, start + size, format)
        return start

    async def add(self, item_id: str, index: int, start: int, data: bytes) -> None:
        """Lengthen a part as was noted, unless it has been cut since."""
        part = (item_id, index)
        size, format = self._parts.get(part, (0, ""))
        data = data[: max(0, size - start)]
        if not data:
            return
        if part in self._inherited:
            before = (await self._values.get(self._key(part)) or b"")[:start]
            self._inherited.discard(part)
            await self._values.put(self._key(part), before + _SILENCE[format] * (start - len(before)) + data, self._ttl)
        else:
            await self._values.append(self._key(part), data, self._ttl)

    def cut(self, item_id: str, index: int, end_ms: int) -> None:
        """Keep only the first `end_ms` milliseconds of a part. Nothing has to follow."""
        part = (item_id, index)
        if part not in self._parts:
            return
        size, format = self._parts[part]
        left = min(size, end_ms * BYTES_PER_MS[format])
        self._parts[part] = (left, format)
        self._total_bytes += left - size
        # What is stored is longer from now on.
        self._inherited.add(part)
        self.changed = True

    async def find(self, item_id: str) -> dict[int, bytes]:
        """Return the audio of an item by the index of its content; what goes beyond `FOUND_BYTES` is left out."""
        found = {}
        room = FOUND_BYTES
        for part, (size, format) in self._parts.items():
            if part[0] == item_id and room > 0 and (data := await self._read(part, min(size, room & ~1), format)):
                found[part[1]] = data
                room -= len(data)
        return found

    async def whole(self, item_id: str) -> tuple[bytes, str] | None:
        """Return the whole audio of an item's first part and its format, if it is kept."""
        for part, (size, format) in self._parts.items():
            if part[0] == item_id and (data := await self._read(part, size, format)):
                return data, format
        return None

    def forget(self, item_id: str) -> None:
        """Keep the audio of an item no longer."""
        for part in [part for part in self._parts if part[0] == item_id]:
            self._drop(part)

    def forget_all(self) -> None:
        """Keep nothing."""
        for part in list(self._parts):
            self._drop(part)

    async def sweep(self) -> None:
        """Delete what is no longer noted; to be done after the commit."""
        while self._dropped:
            await self._values.drop(self._key(self._dropped[-1]))
            self._dropped.pop()

    async def _read(self, part: _Part, size: int, format: str) -> bytes:
        stored = await self._values.get(self._key(part))
        return b"" if stored is None else stored[:size] + _SILENCE[format] * (size - len(stored))

    def _note(self, part: _Part, size: int, format: str) -> None:
        if part in self._dropped:
            # Something else is stored under its name.
            self._dropped.remove(part)
            self._inherited.add(part)
        self._total_bytes += size - self._parts.get(part, (0, format))[0]
        self._parts[part] = (size, format)
        self.changed = True
        while self._total_bytes > self._limit_bytes and self._parts:
            oldest = next(iter(self._parts))
            self._given_up.add(oldest)
            self._drop(oldest)

    def _drop(self, part: _Part) -> None:
        self._total_bytes -= self._parts.pop(part)[0]
        self._inherited.discard(part)
        self._dropped.append(part)
        self.changed = True

    def _key(self, part: _Part) -> str:
        return f"{self._prefix}:{part[0]}:{part[1]}"
