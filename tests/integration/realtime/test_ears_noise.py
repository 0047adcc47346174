"""Voice in noise, with noise reduction."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.noise import Distance, NoiseReducer
from antiphon.audio.samples import Samples
from tests.integration.realtime.ears_sound import heard, real_ears, sent, spoken

pytestmark = pytest.mark.integration

DISTANCES: list[Distance] = ["near_field", "far_field"]


def noisy(samples: Samples, rate: int, snr_db: float) -> Samples:
    """Return a voice beside a steady noise."""
    noise: NDArray[np.float64] = np.random.default_rng(0).normal(0, 1, len(samples))
    voice = samples[rate // 2 : -rate]
    mixed: Samples = (samples + noise * np.std(voice) * 10 ** (-snr_db / 20)).astype(np.float32)
    return mixed


def pcm_of(wav: bytes) -> tuple[int, NDArray[np.int16]]:
    with wave.open(io.BytesIO(wav)) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


async def test_more_voice_is_heard_in_noise() -> None:
    clean, loud = 0, {None: 0, "near_field": 0, "far_field": 0}
    async with real_ears() as ears:
        for name in ("en/quick_brown_fox", "fr/pangrama"):
            voice = np.pad(spoken(name, 24_000), (24_000, 0))
            listener = ears.listener()
            listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
            clean += sum(p > 0.5 for p in await heard(listener, sent(voice, "audio/pcm"), 48_000))
            for distance in loud:
                listener = ears.listener()
                listener.tune(format="audio/pcm", detect=True, noise_reduction=distance)
                data = sent(noisy(voice * 0.2, 24_000, -15.5), "audio/pcm")
                loud[distance] += sum(p > 0.5 for p in await heard(listener, data, 48_000))
    assert loud[None] < 0.2 * clean
    assert loud["near_field"] > 0.5 * clean
    assert loud["far_field"] > 0.5 * clean


@pytest.mark.parametrize("distance", DISTANCES)
async def test_a_recording_for_recognition_is_less_noisy_and_the_audio_kept_is_as_sent(distance: Distance) -> None:
    data = sent(noisy(spoken("en/counting", 24_000), 24_000, 10), "audio/pcm")
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format="audio/pcm", detect=False, noise_reduction=distance)
        await heard(listener, data, 1_920)
        rate, reduced = pcm_of(listener.wav(0, listener.position))
        assert rate == 16_000
        assert abs(len(reduced) - listener.position) <= 0.02 * 16_000
        assert listener.raw(0, listener.position) == data
    before, after = noisy(spoken("en/counting"), 16_000, 10)[-8_000:], reduced[-8_000:] / 32_768
    assert np.std(after) < 0.5 * np.std(before)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_clear_voice_stays_as_it_is(distance: Distance) -> None:
    voice = spoken("en/counting")
    reducer = NoiseReducer(distance)
    given = np.concatenate([reducer.feed(voice[at : at + 640]) for at in range(0, len(voice), 640)])
    assert len(voice) - len(given) <= 256
    assert np.corrcoef(given, voice[: len(given)])[0, 1] > 0.97


async def test_noise_reduction_may_be_turned_on_and_off() -> None:
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format="audio/pcmu", detect=True, noise_reduction=None)
        await listener.hear([bytes(8_000)])
        listener.tune(format="audio/pcmu", detect=True, noise_reduction="near_field")
        await listener.hear([bytes(8_000)])
        assert pcm_of(listener.wav(0, 32_000))[0] == 8_000
        assert pcm_of(listener.wav(16_000, 32_000))[0] == 16_000
        listener.tune(format="audio/pcmu", detect=True, noise_reduction=None)
        await listener.hear([bytes(8_000)])
        assert len(pcm_of(listener.wav(0, 48_000))[1]) == 24_000
