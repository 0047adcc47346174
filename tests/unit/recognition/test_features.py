"""Sound to features."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from antiphon.recognition.engine import MARGIN_SAMPLES, WINDOW_FRAMES
from antiphon.recognition.features import log_mel

pytestmark = pytest.mark.unit

NOISE = np.random.default_rng(0).normal(0, 0.1, 16_000 * 40).astype(np.float32)


def test_a_recording_has_the_features_that_the_model_was_trained_on() -> None:
    extractor = FeatureExtractor()
    samples = NOISE[: 16_000 * 5 + 77]
    expected = extractor(samples)[:, :500]
    features = log_mel(samples, lead=0, frames=500, filters=extractor.mel_filters)
    assert features.shape == (80, WINDOW_FRAMES)
    np.testing.assert_allclose(features[:, :500], expected, atol=1e-4)
    assert not features[:, 500:].any()


def test_a_window_in_the_middle_is_the_same_as_in_the_whole() -> None:
    extractor = FeatureExtractor()
    whole = extractor(NOISE)
    start = 250 * 160
    part = NOISE[start - MARGIN_SAMPLES : start + WINDOW_FRAMES * 160 + MARGIN_SAMPLES]
    features = log_mel(part, lead=MARGIN_SAMPLES, frames=WINDOW_FRAMES, filters=extractor.mel_filters)
    np.testing.assert_allclose(features, whole[:, 250 : 250 + WINDOW_FRAMES], atol=1e-3)
