"""What is known of an utterance on its way from one language to the other."""

from __future__ import annotations

from dataclasses import dataclass

from services.realtime.session.happenings import POSITIONS_PER_MS

_STEP_MS = 200
"""The step in which `elapsed_ms` counts."""
_PCM_BYTES_PER_MS = 48


@dataclass(slots=True)
class Utterance:
    """Speech that is translated in one go. All of it can be written down and read again."""

    number: int
    start: int
    stop: int
    target: str
    """ISO-639-1 code of the language that it is wanted in."""
    shown_by: str | None
    """Model that writes down what was said, if the client wants to read it."""
    direct: bool
    """Whether the recogniser translates it from its sound; otherwise a language model does, from its words."""
    ordered: bool = False
    heard: str | None = None
    """What was said; None while it is not known."""
    language: str = ""
    heard_told: bool = False
    asked: bool = False
    """Whether the language model is at it."""
    words: str | None = None
    """Its translation; None while it is not known."""
    words_told: bool = False
    speed: float = 0.0
    """How fast it is being spoken; 0 while it is not."""
    sound_bytes: int = 0
    """How much of its sound was had."""
    said: bool = False

    @property
    def done(self) -> bool:
        """Whether there is nothing more to come of it."""
        return self.heard_told and self.words_told and self.said

    @property
    def under_way(self) -> bool:
        """Whether somebody works at its words."""
        return self.ordered and (self.heard is None or self.words is None)

    @property
    def unheard(self) -> bool:
        """Whether its sound is still needed."""
        return not self.ordered or self.heard is None or (self.direct and self.words is None)

    @property
    def stop_ms(self) -> int:
        """Where it ends in the input."""
        return self.stop // POSITIONS_PER_MS

    @property
    def elapsed_ms(self) -> int:
        """Where it ends in the input, as clients are told it."""
        return -(-self.stop_ms // _STEP_MS) * _STEP_MS

    @property
    def sound_ms(self) -> int:
        """How long its sound is so far."""
        return self.sound_bytes // _PCM_BYTES_PER_MS
