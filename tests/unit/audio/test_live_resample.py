"""Sound at another rate: what should be there is, what should not is not, and it comes at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.live_resample import LiveResampler
from antiphon.audio.samples import Samples

pytestmark = pytest.mark.unit

RATES = [(24_000, 16_000), (8_000, 16_000), (24_000, 8_000)]


def tone(hz: float, rate: int, seconds: float = 1.0) -> Samples:
    wave: NDArray[np.float64] = np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return wave.astype(np.float32)


def converted(samples: Samples, rate_in: int, rate_out: int, *, piece: int) -> Samples:
    resampler = LiveResampler(rate_in, rate_out)
    pieces = [resampler.feed(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    return np.concatenate([*pieces, resampler.finish()])


def loudness_db(samples: Samples) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return float(20 * np.log10(np.std(middle) * np.sqrt(2) + 1e-9))


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
@pytest.mark.parametrize("hz", [100, 1_000, 3_000])
def test_a_voice_stays_what_and_where_it_is(rate_in: int, rate_out: int, hz: int) -> None:
    made = converted(tone(hz, rate_in), rate_in, rate_out, piece=len(tone(hz, rate_in)))
    assert len(made) == rate_out
    assert loudness_db(made - tone(hz, rate_out)) < -55


@pytest.mark.parametrize(("rate_in", "rate_out", "hz"), [(24_000, 16_000, 9_000), (24_000, 8_000, 4_500)])
def test_what_the_lower_rate_cannot_carry_does_not_fold_back(rate_in: int, rate_out: int, hz: int) -> None:
    assert loudness_db(converted(tone(hz, rate_in), rate_in, rate_out, piece=960)) < -55


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
@pytest.mark.parametrize("piece", [1, 7, 160, 961])
def test_the_size_of_the_pieces_does_not_matter(rate_in: int, rate_out: int, piece: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 4_801).astype(np.float32)
    whole = converted(sound, rate_in, rate_out, piece=len(sound))
    assert np.allclose(converted(sound, rate_in, rate_out, piece=piece), whole, atol=1e-6)
    assert len(whole) == -(-len(sound) * rate_out // rate_in)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_next_to_nothing_is_held_back(rate_in: int, rate_out: int) -> None:
    resampler = LiveResampler(rate_in, rate_out)
    given = 0
    for pieces in range(1, 50):
        given += len(resampler.feed(np.zeros(rate_in // 50, np.float32)))
        assert pieces * rate_out // 50 - given <= 0.005 * rate_out


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_no_sound_makes_no_sound(rate_in: int, rate_out: int) -> None:
    assert len(LiveResampler(rate_in, rate_out).finish()) == 0
