"""The wish to stop: once is enough, twice is a hurry."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Counts the requests to stop. `asked` follows the first, `hurry` the second."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()

    def make(self) -> None:
        """Ask once more."""
        (self.hurry if self.asked.is_set() else self.asked).set()

    @contextmanager
    def on_signals(self) -> Iterator[StopRequest]:
        """Take Ctrl-C, SIGTERM and a closed terminal as requests while the block runs."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.make)
        try:
            yield self
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)
