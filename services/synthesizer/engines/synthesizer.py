"""What every engine offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from antiphon.audio.samples import Samples


@dataclass(frozen=True)
class Limits:
    """Characters per piece: the first, the second and so on; the last number holds for all that follow.

    `shortest` is what a piece that is part of a sentence has at least. `packed` puts short sentences together, for
    models that pay for each call.
    """

    sizes: tuple[int, ...]
    shortest: int = 12
    packed: bool = True

    def after(self, index: int) -> tuple[int, ...]:
        """Return the limits to try for piece number `index`, smallest first."""
        return self.sizes[min(index, len(self.sizes) - 1) :]


class Synthesizer(Protocol):
    """Turns text into speech, one piece at a time."""

    @property
    def rate(self) -> int:
        """Hz of the sound it gives."""
        ...

    @property
    def limits(self) -> Limits:
        """The pieces of text it works best with."""
        ...

    def voices(self) -> tuple[str, ...]:
        """Return the names that `speak` takes."""
        ...

    def speak(self, text: str, *, voice: str, speed: float) -> Iterator[Samples]:
        """Yield the sound of `text`, one array per call of the model, without silence around it.

        Nothing comes of a text that has no sound. `speed` is 0.25 to 4, 1 the natural pace. `text` should be a piece
        within `limits`: any other works too, but takes long. Blocking; not for two threads at a time.
        """
        ...
