"""What a transcript holds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from antiphon.errors import InvalidAudio, ModelNotFound, UnsupportedValue
from antiphon.schemas import Chunking, TranscribeJob
from tests.integration.recognition.clips import Clip, words
from tests.integration.recognition.conftest import Bench, Desk

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("name", ["en_jfk.flac", "en_pv_3speakers.wav", "ja_pv_leopard_test_ja.wav"])
async def test_words_are_in_order_and_within_the_recording(name: str, bench: Bench, clips: dict[str, Clip]) -> None:
    transcript = await bench.transcribe(clips[name].path, words=True)
    assert transcript.words
    for word in transcript.words:
        assert 0 <= word.start <= word.end <= transcript.duration + 0.01
        assert word.word == word.word.strip(" .,!?")
    assert all(left.end <= right.start for left, right in pairwise(transcript.words))
    spoken = words("".join(word.word + " " for word in transcript.words), clips[name].language)
    assert spoken == words(transcript.text, clips[name].language)


async def test_words_are_said_when_they_are_heard(bench: Bench, clips: dict[str, Clip]) -> None:
    transcript = await bench.transcribe(clips["en_jfk.flac"].path, words=True)
    times = {word.word: word.start for word in transcript.words or ()}
    assert times["fellow"] == pytest.approx(1.4, abs=0.4)
    assert times["country"] == pytest.approx(9.9, abs=0.8)


async def test_asking_for_words_and_probabilities_changes_no_text(bench: Bench, clips: dict[str, Clip]) -> None:
    path = clips["en_pv_3speakers.wav"].path
    plain, full = await bench.transcribe(path), await bench.transcribe(path, words=True, logprobs=True)
    assert full.text == plain.text
    assert full.segments == plain.segments
    assert plain.words is None
    assert plain.logprobs is None


@pytest.mark.parametrize("name", ["en_jfk.flac", "ko_pv_leopard_test_ko.wav", "fr_pv_leopard_test_fr.wav"])
async def test_the_bytes_of_the_tokens_are_the_text(name: str, bench: Bench, clips: dict[str, Clip]) -> None:
    transcript = await bench.transcribe(clips[name].path, logprobs=True)
    assert transcript.logprobs
    assert all(token.logprob <= 0 for token in transcript.logprobs)
    assert b"".join(bytes(token.bytes) for token in transcript.logprobs).decode() == transcript.text


async def test_segments_make_the_text(bench: Bench, clips: dict[str, Clip]) -> None:
    transcript = await bench.transcribe(clips["en_pv_3speakers.wav"].path)
    assert [segment.id for segment in transcript.segments] == list(range(len(transcript.segments)))
    assert "".join(segment.text for segment in transcript.segments).lstrip() == transcript.text
    assert all(left.end <= right.start + 0.01 for left, right in pairwise(transcript.segments))
    assert transcript.output_tokens == sum(len(segment.tokens) for segment in transcript.segments)
    assert transcript.duration == pytest.approx(clips["en_pv_3speakers.wav"].duration_s, abs=0.02)


async def test_deltas_make_the_text(bench: Bench, clips: dict[str, Clip]) -> None:
    job = await bench.job(clips["en_pv_3speakers.wav"].path, logprobs=True)
    desk = Desk(job)
    transcript = await bench.transcriber.transcript(job, desk)
    assert len(desk.deltas) == len(transcript.segments) > 1
    assert desk.said == transcript.text
    assert tuple(token for delta in desk.deltas for token in delta.logprobs or ()) == transcript.logprobs
    assert desk.events[-1][0] == "progress"


async def test_audio_cut_at_silences_says_the_same(bench: Bench, clips: dict[str, Clip]) -> None:
    for name in ("en_pv_3speakers.wav", "en_jfk.flac"):
        transcript = await bench.transcribe(clips[name].path, chunking=Chunking(type="server_vad"))
        wrong, of = clips[name].errors(transcript.text)
        assert wrong / of < 0.1


async def test_a_temperature_is_taken_as_it_is(bench: Bench, clips: dict[str, Clip]) -> None:
    transcript = await bench.transcribe(clips["en_pv_leopard_test.wav"].path, temperature=0.3)
    assert {segment.temperature for segment in transcript.segments} == {0.3}


async def test_an_unknown_language_is_refused(bench: Bench, clips: dict[str, Clip]) -> None:
    with pytest.raises(UnsupportedValue) as refusal:
        await bench.transcribe(clips["en_jfk.flac"].path, language="klingon")
    assert refusal.value.param == "language"


async def test_an_unknown_model_is_refused(bench: Bench) -> None:
    job = TranscribeJob(audio=await bench.put(b"RIFF"), model="no-such-model")
    with pytest.raises(ModelNotFound):
        await bench.transcriber.transcript(job, Desk(job))


async def test_what_is_no_audio_is_refused_as_the_decoder_says(bench: Bench) -> None:
    with pytest.raises(InvalidAudio):
        await bench.transcribe(b"this is no audio" * 100)
