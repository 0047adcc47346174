"""Log-mel features, the input of the recogniser, of one window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.samples import Samples
from antiphon.recognition.engine import FRAME_SAMPLES, MARGIN_SAMPLES, WINDOW_FRAMES

Features = NDArray[np.float32]
"""Shape (mel bands, WINDOW_FRAMES)."""

_FFT = 2 * MARGIN_SAMPLES
_HANN = np.hanning(_FFT + 1)[:-1].astype(np.float32)


def log_mel(samples: Samples, *, lead: int, frames: int, filters: NDArray[np.float32]) -> Features:
    """Return the features of `frames` frames, the rest filled with zeros.

    `samples` has `lead` samples before the first frame's centre; what is missing there is mirrored, as at the start of
    a recording, and what is missing after the last is silence. `filters` has shape (mel bands, 201).
    """
    needed = (frames - 1) * FRAME_SAMPLES + _FFT
    missing = MARGIN_SAMPLES - lead
    padded = np.zeros(needed, dtype=np.float32)
    body = samples[: needed - missing]
    padded[missing : missing + len(body)] = body
    if missing:
        mirrored = samples[lead + 1 : lead + 1 + missing][::-1]
        padded[missing - len(mirrored) : missing] = mirrored
    strided = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::FRAME_SAMPLES]
    power = np.abs(np.fft.rfft(strided * _HANN, axis=-1)).astype(np.float32) ** 2
    mel = np.log10(np.maximum(filters @ power.T, 1e-10))
    mel = (np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0
    features = np.zeros((filters.shape[0], WINDOW_FRAMES), dtype=np.float32)
    features[:, :frames] = mel
    return features
