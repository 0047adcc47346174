"""Speech on its way to the client of a live session, in the format that it asked for."""

from __future__ import annotations

import numpy as np

from antiphon.audio.g711 import G711_RATE, Law, encode
from antiphon.audio.live_resample import LiveResampler
from antiphon.audio.samples import SPEECH_RATE, Samples

_LAWS: dict[str, Law] = {"audio/pcmu": "mulaw", "audio/pcma": "alaw"}
_SAMPLE_BYTES = 2


class OutputSound:
    """Takes 16-bit little-endian PCM, mono at 24 kHz, in pieces of any size. Belongs to one caller at a time.

    `format` is `audio/pcm`, which is what comes in; or `audio/pcmu` or `audio/pcma`, at 8 kHz.
    """

    def __init__(self, format: str) -> None:
        self._law = _LAWS.get(format)
        self._resampler = None if self._law is None else LiveResampler(SPEECH_RATE, G711_RATE)
        self._odd = b""

    def feed(self, pcm24k: bytes) -> bytes:
        """Return the bytes that `pcm24k` completes."""
        if self._resampler is None:
            return pcm24k
        pcm = self._odd + pcm24k
        whole = len(pcm) // _SAMPLE_BYTES
        self._odd = pcm[whole * _SAMPLE_BYTES :]
        return self._encode(self._resampler.feed(np.frombuffer(pcm, "<i2", whole).astype(np.float32)))

    def finish(self) -> bytes:
        """Return the rest. Nothing may be fed afterwards."""
        return b"" if self._resampler is None else self._encode(self._resampler.finish())

    def _encode(self, samples: Samples) -> bytes:
        if self._law is None:
            return b""
        return encode(np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16), self._law)
