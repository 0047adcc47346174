"""The server's clock, as far as this process knows it: deadlines are by it, not by the clock of any one machine."""

from __future__ import annotations

import time


class ServerClock:
    """This machine's clock, corrected by what the server said last."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now_ms(self) -> int:
        """Return epoch milliseconds."""
        return int((time.time() + self._ahead_s) * 1000)

    def learn(self, server_ms: int, *, asked_at_s: float, answered_at_s: float) -> None:
        """Note what the server's clock showed between two moments of this machine's; the middle is the best guess."""
        self._ahead_s = server_ms / 1000 - (asked_at_s + answered_at_s) / 2
