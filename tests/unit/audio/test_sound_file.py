"""Files of spoken answers: whole, and as long as what was said."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
import pytest

from antiphon.audio.sound_file import SoundFile
from antiphon.schemas import AudioFormat

pytestmark = pytest.mark.unit

RATE = 24_000
TONE = (np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE) * 8000).astype("<i2").tobytes()


def file_of(audio_format: AudioFormat, pieces: list[bytes]) -> bytes:
    file = SoundFile(audio_format)
    for piece in pieces:
        file.feed(piece)
    return file.finish()


def odd_pieces(data: bytes) -> list[bytes]:
    return [data[start : start + 777] for start in range(0, len(data), 777)]


def test_a_wav_says_how_long_it_is() -> None:
    with wave.open(io.BytesIO(file_of("wav", odd_pieces(TONE)))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, RATE)
        assert sound.getnframes() == RATE
        assert sound.readframes(RATE) == TONE


def test_pcm_is_the_sound_and_nothing_else() -> None:
    assert file_of("pcm", odd_pieces(TONE)) == TONE


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac"])
def test_every_format_holds_all_that_was_said(audio_format: AudioFormat) -> None:
    data = file_of(audio_format, odd_pieces(TONE))
    with av.open(io.BytesIO(data), "r") as container:
        frames = list(container.decode(audio=0))
    seconds = sum(frame.samples for frame in frames) / frames[0].sample_rate
    assert seconds == pytest.approx(1.0, abs=0.12)


def test_silence_is_a_file_too() -> None:
    with wave.open(io.BytesIO(file_of("wav", []))) as sound:
        assert sound.getnframes() == 0
