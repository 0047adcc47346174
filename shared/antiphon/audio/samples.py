"""The array type that every part of the platform passes around for sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono sound, shape (n,), full scale is ±1.0."""

RECOGNITION_RATE = 16_000
"""Hz, what recognisers and the voice detector take."""

SPEECH_RATE = 24_000
"""Hz, what synthesizers give and every encoder sends."""
