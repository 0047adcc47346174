"""Log-mel features of the last seconds of a turn, as the turn model was trained on."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.samples import RECOGNITION_RATE, Samples

WINDOW_SAMPLES = 8 * RECOGNITION_RATE
"""How much of a turn the model hears: 8 s."""

_FFT = 400
_HOP = 160
_BANDS = 80
_LEAST_VARIANCE = 1e-7
_LEAST_POWER = 1e-10

_LINEAR_TO_HZ = 1000.0
_HZ_PER_MEL = 200.0 / 3
_LOG_STEP = np.log(6.4) / 27
"""The mel scale of Slaney: straight up to 1 kHz, logarithmic from there."""


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """Return the features, shape (80, 800), of the end of `samples`, 16 kHz; what is missing before it is silence."""
    wave = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    tail = samples[-WINDOW_SAMPLES:]
    wave[WINDOW_SAMPLES - len(tail) :] = tail
    wave = (wave - wave.mean()) / np.sqrt(wave.var() + _LEAST_VARIANCE)
    padded = np.pad(wave, _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[:-1:_HOP]
    spectrum = np.fft.rfft(frames * _window(), axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.log10(np.maximum(_filters() @ power.T, _LEAST_POWER))
    features: NDArray[np.float32] = (np.maximum(mel, mel.max() - 8) + 4) / 4
    return features


@cache
def _window() -> NDArray[np.float32]:
    return np.hanning(_FFT + 1)[:-1].astype(np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Return the triangular filters, each of the same area, shape (80, 201)."""
    top = _LINEAR_TO_HZ / _HZ_PER_MEL + np.log(RECOGNITION_RATE / 2 / _LINEAR_TO_HZ) / _LOG_STEP
    mels = np.linspace(0, top, _BANDS + 2)
    bend = _LINEAR_TO_HZ / _HZ_PER_MEL
    edges_hz = np.where(mels < bend, mels * _HZ_PER_MEL, _LINEAR_TO_HZ * np.exp(_LOG_STEP * (mels - bend)))
    bins_hz = np.linspace(0, RECOGNITION_RATE / 2, _FFT // 2 + 1)
    low, peak, high = edges_hz[:-2, np.newaxis], edges_hz[1:-1, np.newaxis], edges_hz[2:, np.newaxis]
    rising, falling = (bins_hz - low) / (peak - low), (high - bins_hz) / (high - peak)
    filters: NDArray[np.float32] = (np.clip(np.minimum(rising, falling), 0, None) * 2 / (high - low)).astype(np.float32)
    return filters
