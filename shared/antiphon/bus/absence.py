"""How long the server has been away, told in a few lines however many are waiting for it."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)

_TELL_AGAIN_S = 30.0


class Absence:
    """What the parts of one process know about it together."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._told_s = float("-inf")
        self._told = False

    def note(self, error: Exception) -> None:
        """Note that the server did not answer; it is told at first, and again every half a minute."""
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._told_s >= _TELL_AGAIN_S:
            self._told_s, self._told = now_s, True
            away_s = round(now_s - self._since_s, 1)
            cause = f"{type(error).__name__}: {error}"[:200]
            logger.warning("the server is away", extra={"away_s": away_s, "cause": cause})

    def over(self) -> None:
        """Note that the server has answered."""
        if self._since_s is None:
            return
        away_s = round(time.monotonic() - self._since_s, 1)
        self._since_s = None
        if self._told:
            self._told = False
            logger.info("the server is back", extra={"away_s": away_s})

    def seconds(self) -> float:
        """Return for how long it has been away, 0 while it is there."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s
