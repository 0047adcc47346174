"""What a session hears of its input, and keeps."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Sequence

import numpy as np
import pytest

from antiphon.audio.g711 import decode
from antiphon.audio.speech_gate import FRAME_SAMPLES, GateOptions, Span, find_spans
from antiphon.audio.vad import VoiceDetector, VoiceModel, step_together, voice_probabilities
from tests.integration.realtime.ears_sound import PIECE_S, RATES, heard, real_ears, sent, spoken, weights

pytestmark = pytest.mark.integration

FORMATS = list(RATES)


def spans(voice: list[float]) -> list[Span]:
    return find_spans(voice, len(voice) * FRAME_SAMPLES, GateOptions())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["en/counting", "ja/pangrama"])
async def test_a_live_stream_is_heard_as_the_whole_recording_is(format: str, name: str) -> None:
    rate = RATES[format]
    whole = spans(voice_probabilities(VoiceModel(weights("silero-vad")), spoken(name)))
    data = sent(spoken(name, rate), format)
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format=format, detect=True, noise_reduction=None)
        live = spans(await heard(listener, data, round(PIECE_S * rate) * (2 if format == "audio/pcm" else 1)))
    assert len(whole) > 0
    assert len(live) == len(whole)
    for ours, theirs in zip(live, whole, strict=True):
        assert abs(ours.start - theirs.start) <= 3 * FRAME_SAMPLES
        assert abs(ours.stop - theirs.stop) <= 3 * FRAME_SAMPLES


def assert_alike(voice: Sequence[float], expected: Sequence[float]) -> None:
    """Compare what was heard of the same sound; of silence at its end one or two frames may wait for more."""
    both = min(len(voice), len(expected))
    assert abs(len(voice) - len(expected)) <= 2
    assert np.allclose(voice[:both], expected[:both], atol=1e-4)


@pytest.mark.parametrize("size", [321, 1_920, 10_007, 1_000_000])
async def test_pieces_of_any_size_are_heard_alike(size: int) -> None:
    data = sent(spoken("en/hello_world", 24_000), "audio/pcm")
    async with real_ears() as ears:
        one, other = ears.listener(), ears.listener()
        for listener in (one, other):
            listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        expected = await heard(one, data, 960)
        assert_alike(await heard(other, data, size), expected)
    assert other.position == one.position == len(data) // 2 * 16_000 // 24_000
    assert other.raw(0, other.position) == data


async def test_every_frame_of_speech_is_told_within_two_milliseconds_of_its_end() -> None:
    data = sent(spoken("en/hello_world", 24_000), "audio/pcm")
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        voice: list[float] = []
        for start in range(0, len(data) - 1_920, 1_920):
            length, more = await listener.hear([data[start : start + 1_920]])
            assert length == 640
            voice += more
            if any(probability >= 0.3 for probability in voice[-20:]):
                assert len(voice) >= (listener.position - 32) // FRAME_SAMPLES


async def test_in_a_hush_frames_are_heard_a_few_at_a_time() -> None:
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        told = [len((await listener.hear([bytes(1_920)]))[1]) for _ in range(100)]
        assert sum(told) >= (listener.position - 32) // FRAME_SAMPLES - 2
        assert not {1, 2} & set(told[40:])


async def test_steps_taken_together_say_what_each_would_say_alone() -> None:
    model = VoiceModel(weights("silero-vad"))
    names = ["en/counting", "fr/pangrama", "zh/pangrama", "pl/liczenie"]
    alone = [voice_probabilities(model, spoken(name))[:70] for name in names]
    detectors = [VoiceDetector(model) for _ in names]
    for step in range(70):
        frames = [spoken(name)[step * FRAME_SAMPLES : (step + 1) * FRAME_SAMPLES] for name in names]
        together = step_together(model, detectors, frames)
        assert np.allclose(together, [voice[step] for voice in alone], atol=1e-4)


async def test_sessions_side_by_side_do_not_hear_each_other() -> None:
    names = ["en/counting", "es/conteo", "it/conteggio", "fr/comptage"]
    async with real_ears() as ears:
        listeners = [ears.listener() for _ in names]
        for listener in listeners:
            listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        data = [sent(spoken(name, 24_000), "audio/pcm") for name in names]
        alone = [await heard(listener, sound, 100_000) for listener, sound in zip(listeners, data, strict=True)]
        listeners = [ears.listener() for _ in names]
        for listener in listeners:
            listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        together = await asyncio.gather(
            *(heard(listener, sound, 9_600) for listener, sound in zip(listeners, data, strict=True))
        )
    for voice, expected in zip(together, alone, strict=True):
        assert_alike(voice, expected)


async def test_a_client_that_sends_minutes_at_once_holds_up_nobody() -> None:
    minutes = bytes(60 * 48_000)
    async with real_ears() as ears:
        greedy, other = ears.listener(), ears.listener()
        for listener in (greedy, other):
            listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        task = asyncio.ensure_future(greedy.hear([minutes]))
        voice: list[float] = []
        for _ in range(20):
            voice += (await other.hear([bytes(1_920)]))[1]
        assert len(voice) == 24
        assert not task.done()
        length, voice_of_minutes = await task
        assert length == 60 * 16_000
        assert len(voice_of_minutes) == (length - 32) // FRAME_SAMPLES


async def test_a_session_that_is_given_up_leaves_the_others_alone() -> None:
    async with real_ears() as ears:
        gone, other = ears.listener(), ears.listener()
        for listener in (gone, other):
            listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        task = asyncio.ensure_future(gone.hear([bytes(48_000 * 60)]))
        await other.hear([bytes(19_200)])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len((await other.hear([bytes(48_000)]))[1]) > 0


async def test_nothing_is_left_waiting_when_the_ears_close() -> None:
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        task = asyncio.ensure_future(listener.hear([bytes(10_000)]))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nobody_listens_while_nobody_asks_for_it() -> None:
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format="audio/pcm", detect=False, noise_reduction=None)
        assert await listener.hear([bytes(480_000)]) == (160_000, ())
        listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        length, voice = await listener.hear([bytes(48_000)])
        assert (length, len(voice)) == (16_000, (16_000 - 32) // FRAME_SAMPLES)


async def test_a_recording_for_recognition_has_the_rate_that_was_sent() -> None:
    async with real_ears() as ears:
        for format, rate in RATES.items():
            data = sent(spoken("en/hello_world", rate), format)
            listener = ears.listener()
            listener.tune(format=format, detect=False, noise_reduction=None)
            await listener.hear([data])
            with wave.open(io.BytesIO(listener.wav(8_000, 24_000))) as file:
                assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
                pcm = file.readframes(file.getnframes())
            width = 2 if format == "audio/pcm" else 1
            part = data[rate // 2 * width : rate * 3 // 2 * width]
            laws = {"audio/pcmu": "mulaw", "audio/pcma": "alaw"}
            assert pcm == (part if format == "audio/pcm" else decode(part, laws[format]).tobytes())  # type: ignore[arg-type]


@pytest.mark.parametrize("detect", [True, False])
@pytest.mark.parametrize("format", FORMATS)
async def test_samples_of_a_range_are_the_sound_there(format: str, detect: bool) -> None:
    rate = RATES[format]
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format=format, detect=detect, noise_reduction=None)
        await listener.hear([sent(spoken("en/counting", rate), format)])
        samples = listener.samples(16_000, 32_000)
    assert samples.dtype == np.float32
    assert len(samples) == 16_000
    assert np.corrcoef(samples, spoken("en/counting")[16_000:32_000])[0, 1] > (0.99 if rate == 24_000 else 0.9)


async def test_what_is_forgotten_takes_no_memory() -> None:
    async with real_ears() as ears:
        listener = ears.listener()
        listener.tune(format="audio/pcm", detect=False, noise_reduction=None)
        for _ in range(600):
            await listener.hear([bytes(48_000)])
            listener.forget(listener.position - 16_000)
        assert listener._came.held_bytes < 200_000
        assert listener.raw(0, listener.position) == bytes(48_000)


async def test_a_session_of_another_worker_goes_on_at_its_position() -> None:
    async with real_ears() as ears:
        listener = ears.listener(position=123_456)
        listener.tune(format="audio/pcmu", detect=True, noise_reduction=None)
        assert listener.position == 123_456
        assert (await listener.hear([bytes(800)]))[0] == 1_600
        listener.tune(format="audio/pcm", detect=True, noise_reduction=None)
        assert listener.position == 125_056
        await listener.hear([b"\x01\x00" * 2_400])
        assert listener.raw(125_056, listener.position) == b"\x01\x00" * 2_400
