"""What a run is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.planning import Stage, ramp

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("files", "speech", "chat", "sessions", "jobs")
DEFAULT = "files=8 speech=4 chat=1 sessions=1 jobs=6"
_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}


@dataclass(frozen=True)
class Names:
    """Names that clients send."""

    files: str = "whisper-1"
    speech: str = "tts-1"
    chat: str = "gpt-audio"
    sessions: str = "gpt-realtime"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much comes, for how long, and what is done with what is found.

    Attributes:
        load: requests a minute of each kind, for `sessions` how many are held at a time.
        ramp_s: until all of it comes; `hold_s`: for how long.
        alone_s: for each measurement of one kind of work by itself; 0 for none.
        batch: jobs of one request.
        come_back: whether who is refused comes again when it was told to.
        drain_s: how long what has been begun may go on when nobody comes any more.
    """

    load: Mapping[str, float]
    ramp_s: float = 30.0
    hold_s: float = 120.0
    alone_s: float = 8.0
    batch: int = 3
    seed: int = 1
    come_back: bool = False
    drain_s: float = 180.0
    names: Names = field(default_factory=Names)
    out: Path = Path("out/load")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """A ramp, and the whole load."""
        return ramp(ramp_s=self.ramp_s, hold_s=self.hold_s)


def parse_load(text: str) -> dict[str, float]:
    """Read `files=2 speech=1/s jobs=600/h sessions=4`; a bare number is per minute. Raises `ValueError`."""
    load = dict.fromkeys(KINDS, 0.0)
    for part in text.replace(",", " ").split():
        kind, equals, rate = part.partition("=")
        number, slash, unit = rate.partition("/")
        if kind not in load or not equals or (slash and (unit not in _PER_MINUTE or kind == "sessions")):
            raise ValueError(f"{part!r} is none of files=N, speech=N, chat=N, jobs=N (or N/s, N/min, N/h), sessions=N")
        try:
            value = float(number) * _PER_MINUTE[unit or "min"]
        except ValueError:
            raise ValueError(f"{part!r}: {number!r} is no number") from None
        if not 0 <= value < float("inf"):
            raise ValueError(f"{part!r}: a number of 0 or more is needed")
        load[kind] = value
    if not any(load.values()):
        raise ValueError("nobody would come")
    return load
