"""Where a follower of a job is: the `id` of an event, and what it comes back with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

from antiphon.errors import InvalidValue

Phase = Literal["queued", "running", "ended"]

_ID = re.compile(r"(?P<entry>\d{1,20}-\d{1,20})\.(?P<phase>queued|running|ended)(\.(?P<done>\d{1,12}(\.\d{1,12})?))?")


@dataclass(frozen=True)
class Cursor:
    """What was told: the phase that was entered, the output up to `entry`, and progress that no entry holds, `done`.

    >>> str(Cursor()), str(Cursor("17-0", "running")), Cursor.parse("17-0.running").entry
    ('0-0', '17-0.running', '17-0')
    """

    entry: str = "0-0"
    phase: Phase | None = None
    done: float | None = None

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the place that a `Last-Event-ID` names, the beginning for none. Raises `InvalidValue`."""
        if not text:
            return cls()
        match = _ID.fullmatch(text)
        if match is None:
            raise InvalidValue("Invalid 'Last-Event-ID': it is not the id of an event.", param="Last-Event-ID")
        phase: Phase = match["phase"]  # type: ignore[assignment]
        return cls(match["entry"], phase, float(match["done"]) if match["done"] else None)

    def __str__(self) -> str:
        parts = [self.entry, self.phase, None if self.done is None else f"{self.done:.6f}"]
        return ".".join(part for part in parts if part is not None)
