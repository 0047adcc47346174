"""What is recognised, against the bare engine on the same files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel

from antiphon.models import WeightStore
from antiphon.recognition.settings import RecognitionSettings
from antiphon.schemas import Chunking
from tests.integration.recognition.clips import Clip
from tests.integration.recognition.conftest import Bench

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

CLIPS = (
    "en_jfk.flac",
    "en_ms_weather.wav",
    "en_ms_weather_mulaw.wav",
    "en_pv_leopard_test.wav",
    "en_pv_3speakers.wav",
    "en_pv_cheetah_test_en.wav",
    "en_librivox_0870.wav",
    "en_librivox_0880.wav",
    "en_librivox_0890.wav",
    "en_asterisk_demo-nogo.wav",
    "en_openai_node_sample1.mp3",
    "es_pv_leopard_test_es.wav",
    "es_pv_cheetah_test_es.wav",
    "de_pv_leopard_test_de.wav",
    "de_pv_cheetah_test_de.wav",
    "fr_pv_leopard_test_fr.wav",
    "fr_pv_cheetah_test_fr.wav",
    "it_pv_leopard_test_it.wav",
    "pt_pv_leopard_test_pt.wav",
    "ja_pv_leopard_test_ja.wav",
    "ko_pv_leopard_test_ko.wav",
)

TWO_CITIES = """
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the
epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the
spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all going
direct to Heaven, we were all going direct the other way - in short, the period was so far like the present period, that
some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of
comparison only.
"""


@pytest.fixture(scope="module")
def engine() -> Any:
    """The bare engine."""
    settings = RecognitionSettings()
    folder = WeightStore(settings.cache_dir).folder("whisper-base")
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=settings.threads)


async def bare(engine: Any, clip: Clip, **options: Any) -> str:
    def run() -> str:
        segments, _ = engine.transcribe(str(clip.path), beam_size=5, **options)
        return "".join(segment.text for segment in segments).lstrip()

    return await asyncio.to_thread(run)


@pytest.mark.parametrize("name", CLIPS)
async def test_no_clip_is_recognised_worse_than_by_the_bare_engine(
    name: str, bench: Bench, clips: dict[str, Clip], engine: Any
) -> None:
    clip = clips[name]
    wrong, words = clip.errors((await bench.transcribe(clip.path, language=clip.language)).text)
    wrong_bare, _ = clip.errors(await bare(engine, clip, language=clip.language))
    assert wrong / words <= wrong_bare / words + 0.005


@pytest.mark.parametrize("chunking", [None, Chunking()])
async def test_a_recording_of_several_windows_has_all_its_words(
    chunking: Chunking | None, bench: Bench, reading: Path
) -> None:
    wrong, words = Clip(reading, "en", TWO_CITIES, 44.4).errors(
        (await bench.transcribe(reading, chunking=chunking)).text
    )
    assert wrong / words < 0.03


async def test_sound_without_speech_has_no_text(bench: Bench, clips: dict[str, Clip]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000 * 3).astype(np.float32)
    for audio in (clips["xx_pv_empty.wav"].path, noise, np.zeros(16_000 * 35, dtype=np.float32)):
        transcript = await bench.transcribe(audio)
        assert (transcript.text, transcript.segments, transcript.detected) == ("", (), False)


async def test_speech_after_a_long_silence_is_not_lost(bench: Bench, clips: dict[str, Clip]) -> None:
    speech = await read(bench, clips["en_pv_leopard_test.wav"])
    silent = np.zeros(16_000 * 47, dtype=np.float32)
    transcript = await bench.transcribe(np.concatenate([silent, speech, silent]))
    assert clips["en_pv_leopard_test.wav"].errors(transcript.text)[0] == 0
    assert all(46 < segment.start < segment.end < 54 for segment in transcript.segments)


@pytest.mark.parametrize("language", ["es", "de", "fr", "it", "pt", "ja", "ko"])
async def test_the_language_is_detected(language: str, bench: Bench, clips: dict[str, Clip]) -> None:
    clip = clips[f"{language}_pv_leopard_test_{language}.wav"]
    transcript = await bench.transcribe(clip.path)
    assert (transcript.language, transcript.detected) == (language, True)


async def test_only_candidates_are_detected(bench: Bench, clips: dict[str, Clip]) -> None:
    clip = clips["es_pv_cheetah_test_es.wav"]
    assert (await bench.transcribe(clip.path, languages=("de", "Spanish"))).language == "es"


async def test_german_is_translated_to_english(bench: Bench, clips: dict[str, Clip]) -> None:
    transcript = await bench.translate(clips["de_pv_leopard_test_de.wav"].path)
    assert transcript.task == "translate"
    assert transcript.language == "de"
    assert {"room", "portal"} & set(transcript.text.lower().replace(".", "").split())


async def test_keywords_change_how_a_name_is_spelled(bench: Bench, clips: dict[str, Clip]) -> None:
    clip = clips["en_pv_leopard_test.wav"]
    assert "Quilter" in (await bench.transcribe(clip.path)).text
    assert "Kwilter" in (await bench.transcribe(clip.path, keywords=("Mr. Kwilter",))).text


async def test_a_prompt_changes_how_a_name_is_spelled(bench: Bench, clips: dict[str, Clip]) -> None:
    clip = clips["en_pv_leopard_test.wav"]
    transcript = await bench.transcribe(clip.path, prompt="A letter from Mr. Kwilter, the critic.")
    assert "Kwilter" in transcript.text
    assert transcript.prompt_tokens > 5


async def read(bench: Bench, clip: Clip) -> np.ndarray[Any, np.dtype[np.float32]]:
    async with bench.transcriber.decoders.decode(clip.path) as pcm:
        return pcm.read(0, await pcm.length())
