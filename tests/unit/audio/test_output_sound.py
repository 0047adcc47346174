"""Speech in the format that a session asked for."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.g711 import Law, decode
from antiphon.audio.output_sound import OutputSound
from antiphon.audio.resample import resample

pytestmark = pytest.mark.unit


def speechlike(seconds: float = 1.0) -> bytes:
    time_s = np.arange(round(seconds * 24_000)) / 24_000
    wave = sum(np.sin(2 * np.pi * hz * time_s) * 4_000 for hz in (150, 700, 1_900))
    return bytes(np.asarray(wave).astype("<i2").tobytes())


def spoken(pcm: bytes, format: str, *, piece: int) -> bytes:
    sound = OutputSound(format)
    return b"".join(sound.feed(pcm[at : at + piece]) for at in range(0, len(pcm), piece)) + sound.finish()


def test_pcm_goes_out_as_it_came() -> None:
    assert spoken(speechlike(), "audio/pcm", piece=1_001) == speechlike()


@pytest.mark.parametrize(("format", "law"), [("audio/pcmu", "mulaw"), ("audio/pcma", "alaw")])
def test_a_telephone_gets_the_same_sound(format: str, law: Law) -> None:
    pcm = speechlike()
    heard = decode(spoken(pcm, format, piece=1_920), law).astype(np.float32)
    meant = resample(np.frombuffer(pcm, "<i2").astype(np.float32), 24_000, 8_000)
    assert len(heard) == 8_000
    noise = (heard - meant)[100:-100]
    assert 20 * np.log10(np.std(meant) / np.std(noise)) > 30


@pytest.mark.parametrize("format", ["audio/pcmu", "audio/pcma"])
@pytest.mark.parametrize("piece", [1, 333, 4_800])
def test_pieces_of_any_size_make_the_same_sound(format: str, piece: int) -> None:
    pcm = speechlike(0.1)
    assert spoken(pcm, format, piece=piece) == spoken(pcm, format, piece=len(pcm))


def test_sound_beyond_full_scale_is_clipped() -> None:
    square = np.where(np.arange(24_000) // 40 % 2, 32_767, -32_768).astype("<i2").tobytes()
    heard = decode(spoken(square, "audio/pcmu", piece=960), "mulaw")
    assert abs(int(heard[4_000:4_100].max())) > 30_000
    assert int(heard[4_000:4_100].min()) < -30_000


@pytest.mark.parametrize("format", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_silence_of_no_length_is_nothing(format: str) -> None:
    assert spoken(b"", format, piece=1) == b""
