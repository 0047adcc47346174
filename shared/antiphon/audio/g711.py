"""The two laws of telephony, ITU-T G.711: 8 bits for a sample, and back to 16. A look into a table for each."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["mulaw", "alaw"]

G711_RATE = 8_000
"""Hz, what telephones send."""

_MULAW_BIAS = 33
_MULAW_LARGEST = 8_158
"""In units of 14 bits, which the law is defined in."""


def decode(data: bytes, law: Law) -> NDArray[np.int16]:
    """Return the samples that `data` stands for, one for each byte."""
    samples: NDArray[np.int16] = _decoding(law)[np.frombuffer(data, np.uint8)]
    return samples


def encode(samples: NDArray[np.int16], law: Law) -> bytes:
    """Return one byte for each of `samples`, shape (n,)."""
    return _encoding(law)[samples.view(np.uint16)].tobytes()


@cache
def _decoding(law: Law) -> NDArray[np.int16]:
    """Return the sample for each of the 256 bytes."""
    bits = np.arange(256) ^ (0xFF if law == "mulaw" else 0x55)
    segment, step, sign = bits >> 4 & 7, bits & 15, bits >> 7
    if law == "mulaw":
        size = (((step << 1) + _MULAW_BIAS) << segment) - _MULAW_BIAS << 2
        negative = sign == 1
    else:
        size = ((step << 1) + 1 + 32 * (segment > 0) << np.maximum(segment - 1, 0)) << 3
        negative = sign == 0
    return np.where(negative, -size, size).astype(np.int16)


@cache
def _encoding(law: Law) -> NDArray[np.uint8]:
    """Return the byte for each of the 65,536 samples, in the order of their bits without a sign."""
    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int64)
    if law == "mulaw":
        sized = samples >> 2
        negative = sized < 0
        size = np.minimum(np.abs(sized), _MULAW_LARGEST) + _MULAW_BIAS
        segment = np.frexp(size)[1] - 6
        byte = (segment << 4 | size >> segment + 1 & 15) ^ 0x7F | np.where(negative, 0, 0x80)
    else:
        sized = samples >> 3
        negative = sized < 0
        size = np.where(negative, -sized - 1, sized)
        segment = np.maximum(np.frexp(size)[1] - 5, 0)
        byte = (segment << 4 | size >> np.maximum(segment, 1) & 15) ^ 0x55 | np.where(negative, 0, 0x80)
    codes: NDArray[np.uint8] = byte.astype(np.uint8)
    return codes
