from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.samples import Samples
from services.synthesizer.engines.pace import FASTEST, SLOWEST, Pace
from services.synthesizer.engines.pronunciation import cut
from services.synthesizer.engines.sound import silence, stretch, trim

pytestmark = pytest.mark.unit

RATE = 24_000


def _tone(hz: float, seconds: float) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def _pitch(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE / len(samples)


@pytest.mark.parametrize("speed", [0.36, 0.5, 0.8, 1.25, 2.0, 2.7])
@pytest.mark.parametrize("hz", [110.0, 220.0, 1000.0])
def test_stretched_sound_has_another_length_and_the_same_pitch(speed: float, hz: float) -> None:
    stretched = stretch(_tone(hz, 1.0), RATE, speed=speed)
    assert len(stretched) == pytest.approx(RATE / speed, abs=1)
    assert _pitch(stretched) == pytest.approx(hz, rel=0.03)
    inner = stretched[RATE // 20 : -RATE // 20]
    assert np.abs(inner).max() == pytest.approx(0.5, rel=0.15)


@given(st.integers(0, 4000), st.floats(0.3, 3.0))
def test_stretching_takes_sound_of_any_length(samples: int, speed: float) -> None:
    stretched = stretch(np.full(samples, 0.1, np.float32), RATE, speed=speed)
    assert np.isfinite(stretched).all()
    assert abs(len(stretched) - samples / speed) <= 1


def test_silence_is_cut_off_but_for_a_breath() -> None:
    sound = np.concatenate((silence(0.5, RATE), _tone(200, 0.3), silence(0.7, RATE)))
    trimmed = trim(sound, RATE, before_s=0.04, after_s=0.1)
    assert len(trimmed) / RATE == pytest.approx(0.44, abs=0.01)
    assert trimmed[0] == 0.0
    assert trimmed[-1] == 0.0


@pytest.mark.parametrize("sound", [silence(0.0, RATE), silence(1.0, RATE)])
def test_nothing_remains_of_mere_silence(sound: Samples) -> None:
    assert len(trim(sound, RATE)) == 0


@given(st.floats(0.25, 4.0))
def test_a_speed_is_shared_by_model_and_stretching(speed: float) -> None:
    pace = Pace.of(speed)
    assert SLOWEST <= pace.model <= FASTEST
    assert pace.model * pace.stretch == pytest.approx(speed)


@given(st.text(alphabet="a\u02c8b\u0259 ,.!", max_size=300), st.integers(5, 60))
def test_phonemes_are_cut_without_loss(phonemes: str, most: int) -> None:
    parts = cut(phonemes, most=most)
    assert all(len(part) <= most for part in parts)
    assert [c for part in parts for c in part if c.isalpha()] == [c for c in phonemes if c.isalpha()]
