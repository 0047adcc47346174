"""Whether a speaker is through."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from antiphon.errors import WeightsMissing
from services.realtime.ears.log_mel import WINDOW_SAMPLES, log_mel
from services.realtime.ears.turn import TurnModel
from tests.integration.realtime.ears_sound import real_ears, spoken, weights

pytestmark = pytest.mark.integration

SENTENCES = ["en/counting", "en/quick_brown_fox", "it/conteggio", "hi/pangrama", "zh/pangrama"]


async def test_a_whole_sentence_is_over_and_half_of_one_is_not() -> None:
    async with real_ears() as ears:
        for name in SENTENCES:
            # The pause in which a turn is judged, and not the silence that comes with the recording.
            whole = spoken(name)[8_000:-12_800]
            assert await ears.judge(whole) > 0.8, name
        for name, cut in (
            ("en/counting", 0.4),
            ("en/quick_brown_fox", 0.8),
            ("it/conteggio", 0.4),
            ("hi/pangrama", 0.7),
        ):
            samples = spoken(name)[8_000:-16_000]
            assert await ears.judge(samples[: int(cut * len(samples))]) < 0.3, name


async def test_the_loop_runs_while_turns_are_judged() -> None:
    async with real_ears() as ears:
        judging = asyncio.gather(*(ears.judge(spoken("en/counting")) for _ in range(5)))
        turns = 0
        while not judging.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 100
        assert len(set(await judging)) == 1


def test_only_the_last_eight_seconds_count() -> None:
    rng = np.random.default_rng(0)
    long = rng.normal(0, 0.1, 2 * WINDOW_SAMPLES).astype(np.float32)
    assert np.array_equal(log_mel(long), log_mel(long[-WINDOW_SAMPLES:]))
    short = long[: WINDOW_SAMPLES // 4]
    assert np.array_equal(log_mel(short), log_mel(np.pad(short, (WINDOW_SAMPLES - len(short), 0))))


@pytest.mark.parametrize("length", [0, 1, 399, 128_000, 128_001])
def test_sound_of_any_length_is_judged(length: int) -> None:
    samples = np.zeros(length, np.float32)
    assert log_mel(samples).shape == (80, 800)
    assert 0 <= TurnModel(weights("smart-turn")).judge(samples) <= 1


def test_features_are_those_that_whisper_is_trained_on() -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    samples = spoken("en/counting")
    wave = np.pad(samples, (WINDOW_SAMPLES - len(samples), 0))
    normal = ((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)).astype(np.float32)
    theirs = FeatureExtractor(chunk_length=8)(normal, padding=0)
    # The last frame reaches beyond the end, where extractors differ in what they imagine.
    assert np.abs(log_mel(samples)[:, :798] - theirs[:, :798]).max() < 1e-3


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="turn model"):
        TurnModel(tmp_path)
