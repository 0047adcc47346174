"""What comes out of a job: the words, the voice, the format, the pace."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from antiphon.errors import InvalidValue, ModelNotFound
from antiphon.schemas import AudioFormat, SynthesizeJob
from services.synthesizer.handlers import EVENT_BYTES, Synthesize
from tests.integration.synthesizer.conftest import Desk
from tests.integration.synthesizer.hearing import decode, pitch, word_error_rate, write_down

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

PROSE = "The birch canoe slid on the smooth planks, and nobody saw it. Rice is often served in round bowls."


@pytest.mark.parametrize(
    ("model", "voice"),
    [("gpt-4o-mini-tts", "nova"), ("kokoro", "bf_emma"), ("hibari", "alloy")],
)
async def test_a_listener_writes_down_what_was_to_be_said(synthesize: Synthesize, model: str, voice: str) -> None:
    job = SynthesizeJob(text=PROSE, model=model, voice=voice, format="pcm")
    desk = Desk(job)
    await synthesize(job, desk)
    heard = write_down(*decode(desk.audio, format="pcm"))
    assert word_error_rate(PROSE, heard) < 0.15, heard


async def test_numbers_and_abbreviations_are_read_as_people_read_them(synthesize: Synthesize) -> None:
    job = SynthesizeJob(
        text="Dr. Smith paid $3.50 on 2026-11-22 at 10:30.", model="kokoro", voice="alloy", format="pcm"
    )
    desk = Desk(job)
    await synthesize(job, desk)
    heard = write_down(*decode(desk.audio, format="pcm"))
    for part in ("Smith", "3.50", "November 22", "2026", "1030"):
        assert part in heard.replace(":", ""), heard


async def test_voices_are_different_people(synthesize: Synthesize) -> None:
    heard: dict[str, tuple[float, bytes]] = {}
    for voice in ("nova", "onyx", "echo", "coral"):
        job = SynthesizeJob(text="How are you today?", model="tts-1", voice=voice, format="pcm")
        desk = Desk(job)
        await synthesize(job, desk)
        heard[voice] = pitch(*decode(desk.audio, format="pcm")), desk.audio
    assert len({audio for _, audio in heard.values()}) == 4
    assert max(heard["onyx"][0], heard["echo"][0]) < 160 < min(heard["nova"][0], heard["coral"][0])


@pytest.mark.parametrize("format", get_args(AudioFormat))
async def test_every_format_has_its_rate_and_the_length_it_says(synthesize: Synthesize, format: AudioFormat) -> None:
    job = SynthesizeJob(text=PROSE, model="hibari", voice="alloy", format=format)
    desk = Desk(job)
    speech = await synthesize(job, desk)
    samples, rate = decode(desk.audio, format=format)
    # Opus knows only 48 kHz when it is decoded.
    assert rate == (48_000 if format == "opus" else 24_000)
    assert speech.sample_rate == 24_000
    assert len(samples) / rate == pytest.approx(speech.duration, abs=0.12)
    assert speech.size == len(desk.audio)
    assert speech.input_tokens == -(-len(PROSE) // 4)
    assert speech.output_tokens == pytest.approx(speech.duration * 20, abs=1)
    assert all(len(event) <= EVENT_BYTES for event in desk.events)


@pytest.mark.parametrize("model", ["kokoro", "hibari"])
@pytest.mark.parametrize("speed", [0.5, 2.0])
async def test_speed_divides_the_length(synthesize: Synthesize, model: str, speed: float) -> None:
    lengths = {}
    for pace in (1.0, speed):
        job = SynthesizeJob(
            text="Rice is often served in round bowls.", model=model, voice="alloy", format="pcm", speed=pace
        )
        lengths[pace] = (await synthesize(job, Desk(job))).duration
    assert lengths[speed] == pytest.approx(lengths[1.0] / speed, rel=0.15)


@pytest.mark.parametrize("speed", [0.25, 4.0])
async def test_the_extremes_of_speed_are_reached(synthesize: Synthesize, speed: float) -> None:
    job = SynthesizeJob(text=PROSE, model="hibari", voice="alloy", format="pcm", speed=1.0)
    natural = await synthesize(job, Desk(job))
    job = SynthesizeJob(text=PROSE, model="hibari", voice="alloy", format="pcm", speed=speed)
    assert (await synthesize(job, Desk(job))).duration == pytest.approx(natural.duration / speed, rel=0.15)


@pytest.mark.parametrize("text", ["!!!", "😀", "---", " "])
async def test_a_text_with_nothing_to_say_is_a_short_silence(synthesize: Synthesize, text: str) -> None:
    job = SynthesizeJob(text=text, model="tts-1", voice="alloy", format="wav")
    desk = Desk(job)
    speech = await synthesize(job, desk)
    samples, _ = decode(desk.audio, format="wav")
    assert 0.1 < speech.duration < 1.0
    assert not np.any(samples)


@pytest.mark.parametrize(
    "text",
    ["/" * 4096, "a-" * 300, "9" * 200, "a1" * 200, "\u200d" * 4096, "[" * 4096, "$" * 4096, "x\x00y" * 100, "é" * 400],
)
async def test_odd_texts_are_spoken_somehow_and_break_nothing(synthesize: Synthesize, text: str) -> None:
    job = SynthesizeJob(text=text, model="hibari", voice="alloy", format="pcm")
    assert (await synthesize(job, Desk(job))).duration > 0


async def test_an_unknown_voice_is_told_which_are_known(synthesize: Synthesize) -> None:
    job = SynthesizeJob(text=PROSE, model="tts-1", voice="caruso")
    desk = Desk(job)
    with pytest.raises(InvalidValue, match=r"caruso.*alloy.*shimmer") as caught:
        await synthesize(job, desk)
    assert caught.value.param == "voice"
    assert caught.value.http_status == 400
    assert desk.events == []


async def test_an_unknown_model_is_not_found(synthesize: Synthesize) -> None:
    job = SynthesizeJob(text=PROSE, model="tts-9", voice="alloy")
    with pytest.raises(ModelNotFound):
        await synthesize(job, Desk(job))


async def test_a_voice_is_known_in_any_case(synthesize: Synthesize) -> None:
    job = SynthesizeJob(text="Hi.", model="hibari", voice="Alloy")
    assert (await synthesize(job, Desk(job))).duration > 0
