"""Where the voice detector hears speech in real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from antiphon.audio.samples import Samples
from antiphon.audio.speech_gate import FRAME_SAMPLES, GateOptions
from antiphon.audio.vad import VoiceDetector, VoiceModel, speech_spans, voice_probabilities
from antiphon.errors import WeightsMissing
from tests.integration.audio.files import tone

pytestmark = pytest.mark.integration


def recording(path: Path) -> Samples:
    samples: Samples = decode_audio(str(path))
    return samples


def test_somebody_speaks_in_every_recording_but_the_empty_one(voice_model: VoiceModel, speech: Path) -> None:
    for path in sorted(speech.glob("*_*.*")):
        samples = recording(path)
        spans = speech_spans(voice_model, samples, GateOptions())
        spoken_s = sum(span.stop_s - span.start_s for span in spans)
        if path.name.startswith("xx_"):
            assert spans == []
        else:
            assert spoken_s > 0.4 * len(samples) / 16_000, path.name


def test_silence_hum_and_hiss_are_not_speech(voice_model: VoiceModel) -> None:
    hiss = np.random.default_rng(0).normal(0, 0.05, 16_000 * 5).astype(np.float32)
    for samples in (np.zeros(16_000 * 5, np.float32), tone(5, 16_000, hz=50), hiss):
        assert speech_spans(voice_model, samples, GateOptions()) == []


def test_speech_between_silences_is_found_where_it_is(voice_model: VoiceModel, speech: Path) -> None:
    silence = np.zeros(16_000 * 3, np.float32)
    word = recording(speech / "en_ms_weather.wav")[: int(1.2 * 16_000)]
    spans = speech_spans(voice_model, np.concatenate([silence, word, silence]), GateOptions())
    assert len(spans) == 1
    assert 2.5 <= spans[0].start_s <= 3.2
    assert 4.0 <= spans[0].stop_s <= 4.7


def test_a_live_stream_is_heard_as_the_whole_recording_is(voice_model: VoiceModel, speech: Path) -> None:
    samples = recording(speech / "en_jfk.flac")
    detectors = [VoiceDetector(voice_model) for _ in range(2)]
    whole = voice_probabilities(voice_model, samples)
    for at in range(0, len(samples) - FRAME_SAMPLES, FRAME_SAMPLES):
        frame = samples[at : at + FRAME_SAMPLES]
        assert [detector.step(frame) for detector in detectors] == [whole[at // FRAME_SAMPLES]] * 2


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513])
def test_any_length_is_heard(voice_model: VoiceModel, length: int) -> None:
    assert len(voice_probabilities(voice_model, np.zeros(length, np.float32))) == -(-length // FRAME_SAMPLES)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="voice detector"):
        VoiceModel(tmp_path)
