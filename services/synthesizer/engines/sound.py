"""Small operations on the sound that models give: silence off its ends, another tempo."""

from __future__ import annotations

import numpy as np

from antiphon.audio.samples import Samples

FRAME_S = 0.030
"""Length of the grains that `stretch` lays over each other."""
REACH_S = 0.010
"""How far a grain may be taken from its place, to fit the one before; covers the period of a voice of 100 Hz."""
FADE_S = 0.004


def silence(seconds: float, rate: int) -> Samples:
    """Return so many seconds of silence."""
    return np.zeros(round(seconds * rate), np.float32)


def trim(samples: Samples, rate: int, *, before_s: float = 0.04, after_s: float = 0.10, floor: float = 0.01) -> Samples:
    """Return `samples` without the silence at its ends, but for `before_s` and `after_s` of it; fades the cuts.

    Silence is what stays below `floor` times the peak. Sound without any peak gives nothing.
    """
    level = np.abs(samples)
    peak = float(level.max(initial=0.0))
    if peak < 1e-4:
        return samples[:0]
    loud = np.flatnonzero(level > floor * peak)
    start = max(0, int(loud[0]) - round(before_s * rate))
    stop = min(len(samples), int(loud[-1]) + 1 + round(after_s * rate))
    return fade(samples[start:stop], rate)


def fade(samples: Samples, rate: int) -> Samples:
    """Return a copy that starts and ends at zero."""
    faded = samples.copy()
    length = min(round(FADE_S * rate), len(faded) // 2)
    ramp = np.linspace(0.0, 1.0, length, endpoint=False, dtype=np.float32)
    faded[:length] *= ramp
    faded[len(faded) - length :] *= ramp[::-1]
    return faded


def stretch(samples: Samples, rate: int, *, speed: float) -> Samples:
    """Return the same sound `speed` times as fast, at the same pitch.

    Grains are laid over each other (WSOLA), each taken where it best continues the one before, at most `REACH_S` off.
    """
    if speed == 1.0 or len(samples) == 0:
        return samples
    hop = round(FRAME_S * rate / 2)
    reach = round(REACH_S * rate)
    length = max(1, round(len(samples) / speed))
    count = length // hop + 2
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2 * hop) / (2 * hop))).astype(np.float32)
    padded = np.pad(samples, (hop + reach, 3 * hop + reach))
    last = len(padded) - 2 * hop - hop  # so that there is always something that would follow
    out = np.zeros((count + 1) * hop, np.float32)
    place = reach
    for index in range(count):
        out[index * hop : index * hop + 2 * hop] += window * padded[place : place + 2 * hop]
        following = padded[place + hop : place + 2 * hop]
        ideal = min(round((index + 1) * hop * speed) + reach, last)
        first = max(0, ideal - reach)
        field = padded[first : min(ideal + reach, last) + hop]
        place = first + _best_match(field, following)
    return out[hop : hop + length]


def _best_match(field: Samples, pattern: Samples) -> int:
    """Return where in `field` the samples are most like `pattern`."""
    likeness = np.correlate(field, pattern, mode="valid")
    energy = np.cumsum(np.concatenate((np.zeros(1, np.float64), field.astype(np.float64) ** 2)))
    size = len(pattern)
    norm = np.sqrt(np.maximum(energy[size:] - energy[:-size], 1e-9))
    return int(np.argmax(likeness / norm))
