"""Change the sample rate of sound while somebody waits for it.

A `Resampler` gives its samples in bursts and holds up to a tenth of a second back; this one holds back 4 ms at most,
and costs less for short pieces. Its filter is good enough to hear voice by and for telephones, not for music.
"""

from __future__ import annotations

from functools import cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.samples import Samples

_CROSSINGS = 16
"""Zero crossings of the filter on each side, at the lower of the two rates."""
_CUTOFF = 0.94
"""Of half the lower rate: where the filter is half open."""
_BETA = 5.65
"""Shape of the window: what would fold back is 60 dB down."""
_BLOCK_S = 0.002
"""Sound that one row of the product makes. Short rows hold little back, long ones cost little."""


class LiveResampler:
    """Takes pieces of any size; what it gives back, joined, is the whole sound at the new rate. Rates in Hz."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        divisor = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // divisor, rate_in // divisor
        self._reach = _CROSSINGS * rate_in // min(rate_in, rate_out)
        repeats = max(1, round(_BLOCK_S * rate_in / self._down))
        self._hop = repeats * self._down
        self._weights = _weights(rate_in, rate_out, self._reach, self._hop)
        self._rest: Samples = np.zeros(self._reach - 1, dtype=np.float32)
        self._taken = 0
        self._given = 0

    def feed(self, samples: Samples) -> Samples:
        """Return what `samples`, float32 of shape (n,), complete."""
        self._taken += len(samples)
        held = np.concatenate((self._rest, samples))
        span = len(self._weights)
        rows = (len(held) - span) // self._hop + 1
        if rows <= 0:
            self._rest = held
            return np.empty(0, dtype=np.float32)
        windows: Samples = np.ndarray((rows, span), np.float32, held, 0, (4 * self._hop, 4))
        self._rest = held[rows * self._hop :]
        # Overlapping rows are copied first: the product of a view like this one is not left to the fast routines.
        made: Samples = (windows.copy() @ self._weights).ravel()
        self._given += len(made)
        return made

    def finish(self) -> Samples:
        """Return the rest. Nothing may be fed afterwards."""
        wanted = -(-self._taken * self._up // self._down) - self._given
        return self.feed(np.zeros(len(self._weights) + self._hop, dtype=np.float32))[:wanted]


@cache
def _weights(rate_in: int, rate_out: int, reach: int, hop: int) -> NDArray[np.float32]:
    """Return the matrix, shape (samples in, samples out), that makes one row of output from a window of input."""
    outputs = hop * rate_out // rate_in
    centres = np.arange(outputs) * rate_in / rate_out
    window = np.arange(1 - reach, hop + reach)
    distance = window[:, np.newaxis] - centres
    cutoff = _CUTOFF * min(rate_in, rate_out) / rate_in
    kaiser = np.i0(_BETA * np.sqrt(np.clip(1 - (distance / reach) ** 2, 0, None)))
    weights = np.where(np.abs(distance) < reach, np.sinc(cutoff * distance) * kaiser, 0)
    normal: NDArray[np.float32] = (weights / weights.sum(axis=0)).astype(np.float32)
    return normal
