"""What honest files decode to."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from antiphon.audio.decode import DecodeLimits, DecoderPool
from antiphon.audio.samples import Samples
from antiphon.errors import AudioTooLong
from tests.integration.audio.files import EXTENSIBLE, FLOAT, encoded, tone, wav, wav16

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Keep = Callable[[bytes], Path]
ONE_SECOND = tone(1, 16_000)


async def decode(pool: DecoderPool, path: Path) -> Samples:
    async with asyncio.timeout(30), pool.decode(path) as pcm:
        return pcm.read(0, await pcm.length())


def assert_is_tone(samples: Samples, *, seconds: float = 1.0, within_s: float = 0.07) -> None:
    assert abs(len(samples) / 16_000 - seconds) <= within_s
    middle = samples[2000:14_000]
    assert abs(float(np.abs(middle).max()) - 0.5) < 0.1
    strongest = np.abs(np.fft.rfft(middle)).argmax() * 16_000 / len(middle)
    assert abs(strongest - 440) < 4


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
async def test_any_sample_rate(pool: DecoderPool, keep: Keep, rate: int) -> None:
    assert_is_tone(await decode(pool, keep(wav16(tone(1, rate), rate=rate))), within_s=0.001)


@pytest.mark.parametrize("channels", [2, 3, 6, 8, 12, 32])
async def test_any_number_of_channels(pool: DecoderPool, keep: Keep, channels: int) -> None:
    samples = await decode(pool, keep(wav16(ONE_SECOND, channels=channels)))
    assert len(samples) == 16_000
    assert np.abs(samples).max() > 0.3


FORMATS = {
    "f32": wav(ONE_SECOND.astype("<f4").tobytes(), tag=FLOAT, bits=32),
    "f64": wav(ONE_SECOND.astype("<f8").tobytes(), tag=FLOAT, bits=64),
    "s32": wav((ONE_SECOND * 2**31).astype("<i4").tobytes(), bits=32),
    "s24": wav((ONE_SECOND * 2**31).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(), bits=24),
    "u8": wav((ONE_SECOND * 127 + 128).astype(np.uint8).tobytes(), bits=8),
    "extensible": wav(
        (ONE_SECOND * 32767).astype("<i2").tobytes(),
        tag=EXTENSIBLE,
        extra=struct.pack("<HHI", 22, 16, 4) + bytes.fromhex("0100000000001000800000aa00389b71"),
    ),
    "length unknown": wav((ONE_SECOND * 32767).astype("<i2").tobytes(), promised=0xFFFFFFFF),
    "gigabytes promised": wav((ONE_SECOND * 32767).astype("<i2").tobytes(), promised=0xFFFFFFF0),
    "nothing promised": wav((ONE_SECOND * 32767).astype("<i2").tobytes(), promised=0),
    "mulaw": encoded(tone(1, 8_000), rate=8_000, muxer="wav", codec="pcm_mulaw"),
    "alaw": encoded(tone(1, 8_000), rate=8_000, muxer="wav", codec="pcm_alaw"),
    "mp3": encoded(tone(1, 24_000), rate=24_000, muxer="mp3", codec="libmp3lame"),
    "mp2": encoded(tone(1, 48_000), rate=48_000, muxer="mp2", codec="mp2"),
    "opus": encoded(tone(1, 48_000), rate=48_000, muxer="ogg", codec="libopus"),
    "webm": encoded(tone(1, 48_000), rate=48_000, muxer="webm", codec="libopus"),
    "flac": encoded(tone(1, 24_000), rate=24_000, muxer="flac", codec="flac"),
    "adts": encoded(tone(1, 24_000), rate=24_000, muxer="adts", codec="aac"),
    "m4a": encoded(tone(1, 24_000), rate=24_000, muxer="ipod", codec="aac"),
    "alac": encoded(tone(1, 24_000), rate=24_000, muxer="ipod", codec="alac"),
    "mp4 with video": encoded(tone(1, 24_000), rate=24_000, muxer="mp4", codec="aac", with_picture=True),
    "mkv with video": encoded(tone(1, 48_000), rate=48_000, muxer="matroska", codec="libopus", with_picture=True),
    "mpeg-ps with video": encoded(tone(1, 48_000), rate=48_000, muxer="vob", codec="mp2", with_picture=True),
    "mpeg-ts": encoded(tone(1, 48_000), rate=48_000, muxer="mpegts", codec="mp2"),
}


@pytest.mark.parametrize("data", FORMATS.values(), ids=FORMATS.keys())
async def test_any_container_and_codec(pool: DecoderPool, keep: Keep, data: bytes) -> None:
    assert_is_tone(await decode(pool, keep(data)))


async def test_what_is_no_number_becomes_silence(pool: DecoderPool, keep: Keep) -> None:
    broken = ONE_SECOND.copy()
    broken[1000:2000], broken[3000], broken[3001] = np.nan, np.inf, -np.inf
    samples = await decode(pool, keep(wav(broken.astype("<f4").tobytes(), tag=FLOAT, bits=32)))
    expected = np.where(np.isfinite(broken), broken, 0)
    assert np.abs(samples - expected).max() < 1e-4


@pytest.mark.parametrize(("muxer", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("flac", "flac")])
async def test_what_is_there_of_a_truncated_file_is_decoded(
    pool: DecoderPool, keep: Keep, muxer: str, codec: str
) -> None:
    data = encoded(tone(4, 24_000), rate=24_000, muxer=muxer, codec=codec)
    samples = await decode(pool, keep(data[: len(data) // 2]))
    assert 1.0 < len(samples) / 16_000 < 3.0
    assert_is_tone(samples[:16_000])


async def test_a_file_longer_than_the_limit_is_refused_with_what_it_costs_bounded(keep: Keep) -> None:
    silence = encoded(np.zeros(16_000 * 900, np.float32), rate=16_000, muxer="flac", codec="flac")
    assert len(silence) < 200_000
    async with DecoderPool(DecodeLimits(max_s=60), size=1) as pool:
        with pytest.raises(AudioTooLong, match="audio duration is longer than 60 seconds") as caught:
            await decode(pool, keep(silence))
        assert caught.value.info().param == "file"
        async with pool.decode(keep(silence)) as pcm:
            with pytest.raises(AudioTooLong):
                await pcm.length()
            assert pcm.samples <= 60 * 16_000


async def test_the_beginning_can_be_read_while_the_rest_is_still_decoded(pool: DecoderPool, keep: Keep) -> None:
    path = keep(wav(bytes(22_050 * 500), bits=8, rate=22_050))
    async with pool.decode(path) as pcm:
        assert await pcm.available(1600) < 500 * 16_000
        assert not pcm.ended
        assert len(pcm.read(0, 1600)) == 1600
        assert await pcm.length() == 500 * 16_000
        assert len(pcm.read(499 * 16_000, 600 * 16_000)) == 16_000


async def test_a_tenth_of_a_second_is_enough_at_any_rate(pool: DecoderPool, keep: Keep) -> None:
    for rate in (8_000, 16_000, 22_050, 44_100, 48_000):
        assert len(await decode(pool, keep(wav16(tone(0.1, rate), rate=rate)))) == 1600


async def test_decoded_sound_is_gone_after_its_block(pool: DecoderPool, keep: Keep) -> None:
    async with pool.decode(keep(wav16(ONE_SECOND))) as pcm:
        await pcm.length()
    with pytest.raises(ValueError, match="gone"):
        pcm.read(0, 1)


async def test_every_format_of_one_recording_sounds_the_same(pool: DecoderPool, speech: Path) -> None:
    reference = await decode(pool, speech / "en_fmt.wav")
    paths = sorted(speech.glob("en_fmt.*"))
    assert len(paths) == 10
    for path in paths:
        samples = await decode(pool, path)
        assert abs(len(samples) - len(reference)) <= 1600, path.name
        assert _likeness(samples, reference) > 0.95, path.name


async def test_samples_are_those_of_the_recogniser_s_own_decoding(pool: DecoderPool, speech: Path) -> None:
    for path in sorted(speech.glob("*_*.*")):
        assert np.array_equal(await decode(pool, path), decode_audio(str(path))), path.name


def _likeness(samples: Samples, reference: Samples) -> float:
    """Return the greatest correlation over shifts of a codec's delay."""
    length = min(len(samples), len(reference)) - 1600
    middle = reference[800 : 800 + length]
    shifts = (samples[800 + shift : 800 + shift + length] for shift in range(-800, 800))
    return max(float(np.dot(each, middle) / np.linalg.norm(each) / np.linalg.norm(middle)) for each in shifts)
