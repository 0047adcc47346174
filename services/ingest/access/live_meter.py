"""The sound of one live session: how much of it there was, and whether there may be more."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from antiphon.bus import Level, Standing
from antiphon.realtime.formats import PCM_RATE
from antiphon.schemas import Meter
from services.ingest.access.principal import Grant
from services.ingest.access.refusals import AudioUsedUp

_PCM_BYTES_PER_S = PCM_RATE * 2
_G711_BYTES_PER_S = 8_000
_ENOUGH = 0.25
"""The part of a minute's worth that has to be there again before a session that ran dry goes on."""


class LiveMeter:
    """Counts sound in both directions, by bytes. Whoever charges for it says how the account stands then."""

    def __init__(self, grant: Grant, meter: Meter) -> None:
        self.meter = meter
        self.exhausted = False
        self._grant = grant
        self._uncharged_s = 0.0
        self._heard_bytes_per_s = self._spoken_bytes_per_s = _PCM_BYTES_PER_S
        self._level: Level | None = None
        self._told_s = 0.0

    def learn(self, session: Mapping[str, Any]) -> None:
        """Note the formats of a session object."""
        audio = session.get("audio") or {}
        self._heard_bytes_per_s = _bytes_per_s(audio.get("input"))
        self._spoken_bytes_per_s = _bytes_per_s(audio.get("output"))

    def hear(self, size: int) -> None:
        """Count bytes that the client has sent."""
        self._uncharged_s += size / self._heard_bytes_per_s

    def speak(self, size: int) -> None:
        """Count bytes that the client is sent."""
        self._uncharged_s += size / self._spoken_bytes_per_s

    def take_s(self) -> float:
        """Return the seconds that have not been charged yet, which are then."""
        seconds, self._uncharged_s = self._uncharged_s, 0.0
        return seconds

    def told(self, level: Level) -> None:
        """Hear how the account stands."""
        self._level, self._told_s = level, time.monotonic()
        if level.remaining <= 0:
            self.exhausted = True
        elif level.remaining >= level.limit * _ENOUGH:
            self.exhausted = False

    @property
    def level(self) -> Level | None:
        """How the account stands now, as far as it is known."""
        return self._level and self._level.after(time.monotonic() - self._told_s)

    def refusal(self) -> AudioUsedUp:
        """Return what the client is told whose sound is not taken."""
        level = self.level or Level(self.meter.seconds_per_minute, 60.0)
        return AudioUsedUp(self._grant, Standing(audio=level), needed_s=level.limit * _ENOUGH)


def _bytes_per_s(end: Mapping[str, Any] | None) -> int:
    kind = ((end or {}).get("format") or {}).get("type", "audio/pcm")
    return _PCM_BYTES_PER_S if kind == "audio/pcm" else _G711_BYTES_PER_S
