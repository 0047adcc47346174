"""The wish to stop: once is enough, twice is a hurry."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest(asyncio.Event):
    """Set by the first request to stop; `hurry` is set by the second."""

    def __init__(self) -> None:
        super().__init__()
        self.hurry = asyncio.Event()

    def make(self) -> None:
        """Ask once more."""
        (self.hurry if self.is_set() else self).set()

    @contextmanager
    def on_signals(self) -> Iterator[Self]:
        """Take Ctrl-C, SIGTERM and a closed terminal as requests while the block runs."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.make)
        try:
            yield self
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)
