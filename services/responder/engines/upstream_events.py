"""Server-sent events, read from bytes that are cut anywhere.

The iteration over lines that HTTP libraries offer splits at U+2028 and its like, which stand unescaped in JSON, and
keeps a line that never ends. Here a line ends with CR, LF or both, and nothing grows beyond a limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from services.responder.engines.upstream_errors import Broken

LONGEST_EVENT_BYTES = 8 * 1024 * 1024
"""A second of sound is 64 KB in base64; some servers send a whole answer at once."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """What was sent: the lines of `data`, joined, and the name that some events have."""

    data: bytes
    name: str = ""


@dataclass(slots=True)
class EventReader:
    """Takes bytes as they come and gives the events that they complete."""

    limit_bytes: int = LONGEST_EVENT_BYTES
    _line: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)
    _data_bytes: int = 0
    _name: str = ""
    _at_start: bool = True
    _after_cr: bool = False

    def feed(self, received: bytes) -> list[Event]:
        """Return the events that end in `received`. Raises `Broken` when one is larger than the limit."""
        if not received:
            return []
        if self._after_cr and received.startswith(b"\n"):
            received = received[1:]
        self._after_cr = received.endswith(b"\r")
        events: list[Event] = []
        *whole, rest = _LINE_END.split(received)
        for part in whole:
            self._take(part)
            line = bytes(self._line)
            self._line.clear()
            if (event := self._end_line(line)) is not None:
                events.append(event)
        self._take(rest)
        return events

    def finish(self) -> list[Event]:
        """Return the event that the end of the stream completes: some servers leave out the last empty line."""
        last = bytes(self._line)
        self._line.clear()
        events = [self._end_line(last)] if last else []
        return [event for event in (*events, self._dispatch()) if event is not None]

    def _take(self, part: bytes) -> None:
        self._line += part
        if len(self._line) + self._data_bytes > self.limit_bytes:
            raise Broken(f"sent an event of more than {self.limit_bytes} bytes")

    def _end_line(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            # Lines without anything in them must not grow beyond the limit either.
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._name = value.decode(errors="replace")[:64]
        elif name == b"error":
            # Not of the format, but older llama.cpp says so what has gone wrong.
            return Event(value, "error")
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._data_bytes, self._name = [], 0, ""
        return Event(b"\n".join(data), name) if data else None
