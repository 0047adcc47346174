"""Cut a window's tokens into segments at the timestamps among them: values in, values out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.recognition.engine import FRAMES_PER_S

TIMESTAMP_FRAMES = 2
"""A timestamp counts steps of 20 ms."""


@dataclass(frozen=True)
class Cut:
    """The tokens between two timestamps, both included. Times in seconds from the recording's start."""

    start_s: float
    end_s: float
    tokens: tuple[int, ...]


def cut(tokens: Sequence[int], *, zero: int, seek: int, frames: int, complete: bool = False) -> tuple[list[Cut], int]:
    """Return the segments of a window and the frame to go on from.

    `zero` is the token of the timestamp 0.00; every later token is a later timestamp. Two timestamps in a row end one
    segment and begin the next. Text after the last such pair is left for the next window to hear whole, unless a
    single timestamp closes it: then nobody speaks up to the end of this window. When the sound is `complete` there is
    nothing more to hear, and that text ends with the window. A model may put an end after the sound's; it is moved.
    """
    start_s = seek / FRAMES_PER_S
    pairs = [i for i in range(1, len(tokens)) if tokens[i] >= zero and tokens[i - 1] >= zero]
    if not pairs:
        # Without any end the segment fills the window.
        stamps = [token - zero for token in tokens if token > zero]
        end_s = start_s + min(frames, stamps[-1] * TIMESTAMP_FRAMES if stamps else frames) / FRAMES_PER_S
        return [Cut(start_s, end_s, tuple(tokens))], seek + frames

    closed = len(tokens) >= 2 and tokens[-2] < zero <= tokens[-1]
    closed = closed or (complete and tokens[-1] < zero)
    bounds = [0, *pairs, *([len(tokens)] if closed else [])]
    cuts = []
    for begin, end in itertools.pairwise(bounds):
        part = tuple(tokens[begin:end])
        first_s = (part[0] - zero) * TIMESTAMP_FRAMES / FRAMES_PER_S
        last_s = min(frames, (part[-1] - zero) * TIMESTAMP_FRAMES if part[-1] >= zero else frames) / FRAMES_PER_S
        cuts.append(Cut(start_s + first_s, start_s + last_s, part))
    if closed:
        return cuts, seek + frames
    advance = (tokens[bounds[-1] - 1] - zero) * TIMESTAMP_FRAMES
    # A model that says nothing ended yet would make its caller ask for the same window for ever.
    return cuts, seek + min(frames, advance or frames)
