"""Which part of a wanted speed the model itself is asked for, and which part is stretched afterwards.

Models keep the rhythm of speech natural when they are asked for a pace near their own. Asked for 4, they reach less
than 2.5; asked for 0.25, they compute four times as much sound, and take four times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

SLOWEST = 0.7
FASTEST = 1.5


@dataclass(frozen=True)
class Pace:
    """`model` times `stretch` is the wanted speed."""

    model: float
    stretch: float

    @classmethod
    def of(cls, speed: float) -> Pace:
        """Divide a speed between the two."""
        model = min(max(speed, SLOWEST), FASTEST)
        return cls(model=model, stretch=speed / model)
