"""What one session has been sent: kept as it came, and heard as it comes."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, cast

import numpy as np

from antiphon.audio.live_resample import LiveResampler
from antiphon.audio.noise import Distance, NoiseReducer
from antiphon.audio.resample import resample
from antiphon.audio.samples import RECOGNITION_RATE, Samples
from antiphon.audio.speech_gate import FRAME_SAMPLES
from services.realtime.ears.formats import FORMATS, HEARD
from services.realtime.ears.log_mel import WINDOW_SAMPLES
from services.realtime.ears.recording import Recording

if TYPE_CHECKING:
    from antiphon.audio.vad import VoiceDetector
    from services.realtime.ears.voices import Voices

_AT_ONCE_S = 0.25
"""Sound that is converted in the loop: about 0.1 ms of work, 0.5 ms with noise reduction."""
_SLICE_S = 1.0
"""Sound that is converted in one go in a thread."""
_HUSH_FRAMES = 20
"""Frames without voice after which nobody is about to go on speaking."""
_HUSHED_TOGETHER = 3
"""Frames that are heard together then: what costs is to call the model at all, and a tenth of a second is soon enough
to notice that somebody begins."""
_SILENCE = 0.3
"""Probability of voice below which a frame is silence for this."""


class Listener:
    """The ear of one session. One task writes it; what it keeps may be read from any thread meanwhile.

    Positions count samples at 16 kHz since the session began, whatever the format. Voice is told in frames of 512 of
    them; the first begins where detection was turned on.
    """

    def __init__(self, voices: Voices, desk: Executor, *, position: int = 0) -> None:
        """Begin at `position`, which is not 0 for a session that another worker has had."""
        self._voices = voices
        self._desk = desk
        self._name = "audio/pcm"
        self._came = Recording(FORMATS[self._name], position)
        self._part = b""
        self._detector: VoiceDetector | None = None
        self._noise: str | None = None
        self._start_hearing()

    @property
    def position(self) -> int:
        """Where the input ends."""
        return self._came.position

    def tune(self, *, format: str, detect: bool, noise_reduction: str | None) -> None:
        """Set what the input is and what is wanted of it. Another format forgets what there was before."""
        changed = detect != (self._detector is not None) or noise_reduction != self._noise
        if format != self._name:
            changed = True
            self._name = format
            self._came = Recording(FORMATS[format], self.position)
            self._part = b""
        if changed:
            self._detector = self._voices.detector() if detect else None
            self._noise = noise_reduction
            self._start_hearing()

    async def hear(self, raw: Sequence[bytes]) -> tuple[int, tuple[float, ...]]:
        """Take more input; return how many positions it brings, and the probability of voice in each completed frame.

        A part of a sample at the end waits for its rest. So do frames, for one or two more, once nobody has spoken for
        a while.
        """
        format = self._came.format
        data = b"".join((self._part, *raw))
        whole = len(data) - len(data) % format.width
        data, self._part = data[:whole], data[whole:]
        before = self.position
        second = format.rate * format.width
        if len(data) <= _AT_ONCE_S * second:
            voice = await self._detect(self._take(data))
        else:
            voice = []
            loop = asyncio.get_running_loop()
            slice_bytes = int(_SLICE_S * second)
            for at in range(0, len(data), slice_bytes):
                piece = data[at : at + slice_bytes]
                voice += await self._detect(await loop.run_in_executor(self._desk, self._take, piece))
        return self.position - before, tuple(voice)

    def wav(self, start: int, stop: int) -> bytes:
        """Return a range as a WAV file for recognition: without its noise where that was taken out, at 16 kHz then."""
        source = self._heard if self._noise is not None and self._heard.has(start) else self._came
        return _wav_file(source.format.integers(source.read(start, stop)).astype("<i2").tobytes(), source.format.rate)

    def raw(self, start: int, stop: int) -> bytes:
        """Return a range as it came, in the session's format. What was forgotten is left out."""
        return self._came.read(start, stop)

    def samples(self, start: int, stop: int) -> Samples:
        """Return the last 8 s of a range, float32 of shape (n,), 16 kHz."""
        start = max(start, stop - WINDOW_SAMPLES)
        source = self._heard if self._hears and self._heard.has(start) else self._came
        return resample(source.format.samples(source.read(start, stop)), source.format.rate, RECOGNITION_RATE)

    def forget(self, before: int) -> None:
        """Free the memory of what is before a position: it is not asked for again."""
        self._came.forget(before)
        # Without noise reduction this is kept for the turn model alone.
        self._heard.forget(before if self._noise else max(before, self.position - WINDOW_SAMPLES))

    @property
    def _hears(self) -> bool:
        return self._detector is not None or self._noise is not None

    def _start_hearing(self) -> None:
        """Hear from here on."""
        self._resampler = LiveResampler(self._came.format.rate, RECOGNITION_RATE)
        self._reducer = None if self._noise is None else NoiseReducer(cast(Distance, self._noise))
        self._frame: Samples = np.empty(0, dtype=np.float32)
        self._hushed = 0
        self._heard = Recording(HEARD, self.position)

    def _take(self, data: bytes) -> list[Samples]:
        """Keep whole samples, and return the frames that they complete."""
        self._came.append(data)
        if not self._hears:
            return []
        samples = self._resampler.feed(self._came.format.samples(data))
        if self._reducer is not None:
            samples = self._reducer.feed(samples)
        self._heard.append(np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype("<i2").tobytes())
        if self._detector is None:
            return []
        held = np.concatenate((self._frame, samples))
        whole = len(held) // FRAME_SAMPLES * FRAME_SAMPLES
        if self._hushed >= _HUSH_FRAMES and whole < _HUSHED_TOGETHER * FRAME_SAMPLES:
            whole = 0
        self._frame = held[whole:]
        return list(held[:whole].reshape(-1, FRAME_SAMPLES))

    async def _detect(self, frames: list[Samples]) -> list[float]:
        if self._detector is None or not frames:
            return []
        voice = await self._voices.hear(self._detector, frames)
        for probability in voice:
            self._hushed = self._hushed + 1 if probability < _SILENCE else 0
        return voice


def _wav_file(pcm: bytes, rate: int) -> bytes:
    """Return 16-bit mono sound with a header."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(pcm)
    return file.getvalue()
