"""What a listener does with sound: decode it, write it down, compare it."""

from __future__ import annotations

import io
import re
from functools import cache

import av
import numpy as np
import soxr
from faster_whisper import WhisperModel

from antiphon.audio.samples import RECOGNITION_RATE, Samples
from antiphon.models import WeightStore
from antiphon.settings import default_cache_dir


def decode(data: bytes, *, format: str) -> tuple[Samples, int]:
    """Return the samples of an encoded file and their rate; `pcm` has no header and is 24 kHz."""
    if format == "pcm":
        samples: Samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
        return samples, 24_000
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono")
        frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), stream.rate


@cache
def _whisper() -> WhisperModel:
    folder = WeightStore(default_cache_dir()).folder("whisper-base")
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)


def write_down(samples: Samples, rate: int) -> str:
    """Return what Whisper hears."""
    heard = soxr.resample(samples, rate, RECOGNITION_RATE)
    segments, _ = _whisper().transcribe(heard, beam_size=5, language="en")
    return " ".join(segment.text.strip() for segment in segments)


def word_error_rate(said: str, heard: str) -> float:
    """Return the edits between two texts, word by word, per word of the first."""
    reference, hypothesis = (re.findall(r"[a-z0-9']+", text.lower()) for text in (said, heard))
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1] / len(reference)


def pitch(samples: Samples, rate: int) -> float:
    """Return the median fundamental frequency of the voiced stretches in Hz, by autocorrelation."""
    frame, found = round(0.04 * rate), []
    shortest, longest = rate // 400, rate // 70
    for start in range(0, len(samples) - frame, frame):
        piece = samples[start : start + frame]
        if np.sqrt(np.mean(piece**2)) < 0.03:
            continue
        piece = piece - piece.mean()
        likeness = np.correlate(piece, piece, mode="full")[frame - 1 :]
        lag = shortest + int(np.argmax(likeness[shortest:longest]))
        if likeness[lag] > 0.5 * likeness[0]:
            found.append(rate / lag)
    return float(np.median(found))
