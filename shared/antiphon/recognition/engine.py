"""What an engine for speech recognition does. Engines know sound and text, never jobs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from antiphon.audio.samples import RECOGNITION_RATE, Samples
from antiphon.schemas import Segment, TokenLogprob, Word

Task = Literal["transcribe", "translate"]

FRAME_SAMPLES = 160
"""Samples at 16 kHz in a frame."""
FRAMES_PER_S = RECOGNITION_RATE // FRAME_SAMPLES
"""Frames of 10 ms: the unit of `seek`."""
WINDOW_FRAMES = 30 * FRAMES_PER_S
"""The longest window."""
MARGIN_SAMPLES = 200
"""How much sound beyond both ends of a window its outermost frames overlap."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of sound to recognise, and all that bears on it.

    Attributes:
        samples: the sound, 16 kHz, with up to `MARGIN_SAMPLES` before and after it.
        lead: how many of the samples come before the window: less than the margin at the start of a recording.
        seek: where the window starts in the recording, in frames.
        frames: its length, at most `WINDOW_FRAMES`.
        complete: the words at its end are not cut off: what follows is another clip.
        language: of the speech; None to detect it.
        languages: what may be detected; empty for all that the model knows.
        history: tokens of the text before the window.
        bias: tokens of words to be expected.
        temperature: 0 for the fallback ladder.
        words: whether to time each word.
        logprobs: whether to tell the probability of each token.
    """

    samples: Samples
    lead: int
    seek: int
    frames: int
    task: Task
    complete: bool = False
    language: str | None = None
    languages: tuple[str, ...] = ()
    history: tuple[int, ...] = ()
    bias: tuple[int, ...] = ()
    temperature: float = 0.0
    words: bool = False
    logprobs: bool = False


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A segment with its words and the probabilities of its tokens, where asked for.

    Times count from the recording's start.
    """

    segment: Segment
    words: tuple[Word, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a window says.

    Attributes:
        language: the one given or detected.
        pieces: in time order; ids count from 0.
        seek: the frame to go on from, always later than the window's start.
        forget: the text is too uncertain to be the history of what follows.
    """

    language: str
    pieces: tuple[Piece, ...]
    seek: int
    forget: bool = False


class Recognizer(Protocol):
    """Turns speech into text, one window at a time."""

    @property
    def parallel(self) -> int:
        """Calls of `decode` that gain from running side by side."""
        ...

    @property
    def device(self) -> str:
        """What it calculates on: `cpu`, or another that gives way to nobody."""
        ...

    @property
    def batch(self) -> int:
        """Windows that gain from sharing a call."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """Codes of the languages that it recognises."""
        ...

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return `text` as tokens of the model."""
        ...

    def likeness(self, window: Window) -> Hashable:
        """Return what windows must have in common to share a call."""
        ...

    def decode(self, windows: Sequence[Window]) -> list[Decoded]:
        """Recognise windows of the same likeness, in their order.

        Blocking: call it from a worker thread. Thread-safe.
        """
        ...
