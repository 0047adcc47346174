"""What the bytes of an input format mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.g711 import G711_RATE, Law, decode
from antiphon.audio.samples import RECOGNITION_RATE, SPEECH_RATE, Samples

_FULL_SCALE = np.float32(1 / 32_768)


@dataclass(frozen=True, kw_only=True)
class InputFormat:
    """Mono sound of `rate` Hz, `width` bytes a sample: 16-bit little-endian PCM, or what `law` says."""

    rate: int
    width: int
    law: Law | None = None

    def integers(self, data: bytes) -> NDArray[np.int16]:
        """Return the samples of `data`, whole samples, shape (n,)."""
        return np.frombuffer(data, "<i2") if self.law is None else decode(data, self.law)

    def samples(self, data: bytes) -> Samples:
        """Return the samples of `data` at full scale ±1."""
        return self.integers(data).astype(np.float32) * _FULL_SCALE

    def position(self, sample: int) -> int:
        """Return where the sample is, counted at 16 kHz."""
        return sample * RECOGNITION_RATE // self.rate

    def offset(self, position: int) -> int:
        """Return the byte at which the first sample at or after a position begins."""
        return -(-position * self.rate // RECOGNITION_RATE) * self.width


FORMATS = {
    "audio/pcm": InputFormat(rate=SPEECH_RATE, width=2),
    "audio/pcmu": InputFormat(rate=G711_RATE, width=1, law="mulaw"),
    "audio/pcma": InputFormat(rate=G711_RATE, width=1, law="alaw"),
}
HEARD = InputFormat(rate=RECOGNITION_RATE, width=2)
"""What is made of every format for the models."""
