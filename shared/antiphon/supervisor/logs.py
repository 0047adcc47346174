"""The output of a child: into a bounded file, and its last lines kept at hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

LOG_BYTES = 4 * 1024 * 1024  # per file; the one before it is kept too
LINE_BYTES = 8 * 1024  # longer lines are cut in two
TAIL_LINES = 20


class BoundedLog:
    """A file that is set aside as `<name>.1` when it has grown to `limit_bytes`."""

    def __init__(self, path: Path, *, limit_bytes: int = LOG_BYTES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._file: BinaryIO = self._open()

    def write(self, data: bytes) -> None:
        """Append `data`. A full disk loses log lines, never the platform."""
        try:
            if self._file.tell() + len(data) > self._limit_bytes and self._file.tell() > 0:
                self._file.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._file = self._open()
            self._file.write(data)
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> BinaryIO:
        file = self._path.open("ab", buffering=0)
        file.seek(0, 2)
        return file


class OutputLines:
    """Cuts one output stream into lines, and keeps the last ones."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._on_line = on_line
        self._open = b""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        *lines, self._open = (self._open + data).split(b"\n")
        for line in lines:
            self._keep(line)
        while len(self._open) > LINE_BYTES:
            self._keep(self._open[:LINE_BYTES])
            self._open = self._open[LINE_BYTES:]

    def finish(self) -> None:
        """Take what is left as the last line."""
        if self._open:
            self._keep(self._open)
            self._open = b""

    def _keep(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        if not line:
            return
        self.tail.append(line)
        if self._on_line is not None:
            self._on_line(line)
