"""A file of sound that is made while the sound comes, and is given out when it is whole."""

from __future__ import annotations

import numpy as np

from antiphon.audio.encode import Encoder, wav_header
from antiphon.audio.samples import SPEECH_RATE
from antiphon.schemas import AudioFormat

_SAMPLE_BYTES = 2
_FULL_SCALE = 32768.0


class SoundFile:
    """Takes 16-bit little-endian PCM, mono at 24 kHz, in pieces of any size. Belongs to one caller at a time.

    Unlike the stream of an `Encoder`, a `wav` says how long it is.
    """

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self._encoder = None if format in ("wav", "pcm") else Encoder(format, SPEECH_RATE)
        self._data = bytearray()
        self._rest = b""

    def feed(self, pcm: bytes) -> None:
        """Take more sound."""
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % _SAMPLE_BYTES
        self._rest = pcm[whole:]
        if self._encoder is None:
            self._data += pcm[:whole]
        elif whole:
            samples = np.frombuffer(pcm, "<i2", whole // _SAMPLE_BYTES).astype(np.float32) / _FULL_SCALE
            self._data += self._encoder.feed(samples)

    def finish(self) -> bytes:
        """Return the file. Nothing may be fed afterwards."""
        if self._encoder is not None:
            self._data += self._encoder.finish()
        header = wav_header(len(self._data)) if self._format == "wav" else b""
        return header + bytes(self._data)
