"""What a decoder process and its owner say to each other: records of fixed size over a socket pair.

The owner sends a `Request` together with two descriptors, the input and the spool. The process answers `ACCEPTED`, then
`PROGRESS` as often as it has written to the spool, then one of the endings. Standard library only: the process that
meets hostile bytes carries as little as it can.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

SPOOL_SAMPLE_BYTES = 2
"""The spool holds signed 16-bit samples in native order, mono: what Whisper's own decoding rounds to."""

SPOOL_RATE = 16_000


class Word(IntEnum):
    """The first byte of a report."""

    READY = 0
    ACCEPTED = 1
    PROGRESS = 2
    DONE = 3
    UNDECODABLE = 4
    NO_AUDIO = 5
    TOO_LONG = 6
    OUT_OF_MEMORY = 7
    NO_SPACE = 8


@dataclass(frozen=True)
class Request:
    """One file to decode. `container` is the name that the sniffer gave it."""

    container: str
    max_samples: int
    cpu_s: int

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<16sQI")

    def pack(self) -> bytes:
        """Return the record."""
        return self.LAYOUT.pack(self.container.encode(), self.max_samples, self.cpu_s)

    @classmethod
    def unpack(cls, record: bytes) -> Request:
        """Read a record. Raises `struct.error`."""
        container, max_samples, cpu_s = cls.LAYOUT.unpack(record)
        return cls(container=container.rstrip(b"\0").decode(), max_samples=max_samples, cpu_s=cpu_s)


@dataclass(frozen=True)
class Report:
    """Where the decoding stands: `samples` lie in the spool."""

    word: Word
    samples: int = 0

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BQ")

    def pack(self) -> bytes:
        """Return the record."""
        return self.LAYOUT.pack(self.word, self.samples)

    @classmethod
    def unpack(cls, record: bytes) -> Report:
        """Read a record. Raises `struct.error` or ValueError."""
        word, samples = cls.LAYOUT.unpack(record)
        return cls(Word(word), samples)
