"""Change the sample rate of a stream of sound."""

from __future__ import annotations

import numpy as np
import soxr

from antiphon.audio.samples import Samples


class Resampler:
    """Takes pieces of any size; what it gives back, joined, is the whole sound at the new rate."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._stream = None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")

    def feed(self, samples: Samples) -> Samples:
        """Return what `samples`, float32 of shape (n,), complete. The filter holds back a few milliseconds."""
        return samples if self._stream is None else self._convert(samples, last=False)

    def finish(self) -> Samples:
        """Return the rest. Nothing may be fed afterwards."""
        return (
            np.empty(0, dtype=np.float32) if self._stream is None else self._convert(np.empty(0, np.float32), last=True)
        )

    def _convert(self, samples: Samples, *, last: bool) -> Samples:
        assert self._stream is not None  # noqa: S101 (tells the type)
        converted: Samples = self._stream.resample_chunk(samples, last=last)
        return converted


def resample(samples: Samples, rate_in: int, rate_out: int) -> Samples:
    """Return the whole sound, float32 of shape (n,), at another rate in Hz."""
    if rate_in == rate_out:
        return samples
    converted: Samples = soxr.resample(samples, rate_in, rate_out)
    return converted
