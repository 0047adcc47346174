"""Sound that is kept until nobody asks for it any more."""

from __future__ import annotations

from collections import deque
from threading import Lock

from services.realtime.ears.formats import InputFormat

_BLOCK_BYTES = 1 << 16


class Recording:
    """Sound of one format that begins at a position, grows, and forgets its beginning a block at a time.

    One thread writes it; any may read it meanwhile.
    """

    def __init__(self, format: InputFormat, position: int) -> None:
        self.format = format
        self.begin = position
        """Where it began."""
        self._lock = Lock()
        self._blocks: deque[bytearray] = deque()
        self._first = 0
        """The byte that the first block begins with."""
        self._forgotten = 0
        self._bytes = 0

    @property
    def position(self) -> int:
        """Where it ends."""
        return self.begin + self.format.position(self._bytes // self.format.width)

    @property
    def held_bytes(self) -> int:
        """How much memory its sound takes."""
        return self._bytes - self._first

    def append(self, data: bytes) -> None:
        """Add whole samples."""
        if not data:
            return
        with self._lock:
            if self._blocks and len(self._blocks[-1]) + len(data) <= _BLOCK_BYTES:
                self._blocks[-1] += data
            else:
                self._blocks.append(bytearray(data))
            self._bytes += len(data)

    def has(self, start: int) -> bool:
        """Tell whether what follows a position is all there, as far as it has come."""
        return start >= self.begin and self._offset(start) >= self._forgotten

    def read(self, start: int, stop: int) -> bytes:
        """Return the samples from one position to before another, without those that were forgotten."""
        with self._lock:
            first, last = max(self._offset(start), self._forgotten), min(self._offset(stop), self._bytes)
            parts: list[bytes | memoryview] = []
            at = self._first
            for block in self._blocks:
                part = slice(max(first - at, 0), max(last - at, 0))
                # The last block still grows, which a view of it would forbid; the others are copied without the lock.
                parts.append(bytes(block[part]) if block is self._blocks[-1] else memoryview(block)[part])
                at += len(block)
        return b"".join(parts)

    def forget(self, before: int) -> None:
        """Let go of what is before a position."""
        with self._lock:
            self._forgotten = max(self._forgotten, min(self._offset(before), self._bytes))
            while self._blocks and self._first + len(self._blocks[0]) <= self._forgotten:
                self._first += len(self._blocks.popleft())

    def _offset(self, position: int) -> int:
        return self.format.offset(max(position - self.begin, 0))
