"""What is encoded, decoded again."""

from __future__ import annotations

import asyncio
import io
import struct
from typing import Any, get_args

import av
import numpy as np
import pytest
from av.container import InputContainer
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.audio.encode import Encoder
from antiphon.audio.samples import Samples
from antiphon.schemas import MEDIA_TYPES, AudioFormat
from tests.integration.audio.files import tone

pytestmark = pytest.mark.integration

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
LOSSLESS: tuple[AudioFormat, ...] = ("flac", "wav", "pcm")
DEMUXERS = {"mp3": "mp3", "opus": "ogg", "aac": "aac", "flac": "flac", "wav": "wav"}


def encode(samples: Samples, format: AudioFormat, *, rate: int = 24_000, sizes: list[int] | None = None) -> bytes:
    encoder = Encoder(format, rate)
    pieces, at = [], 0
    for size in sizes or [len(samples)]:
        pieces.append(encoder.feed(samples[at : at + size]))
        at += size
    pieces += [encoder.feed(samples[at:]), encoder.finish()]
    return b"".join(pieces)


def decode(data: bytes, format: AudioFormat) -> tuple[int, Samples]:
    """Return the sample rate and the samples of a file; fails if it is not mono."""
    if format == "pcm":
        return 24_000, _to_float(np.frombuffer(data, "<i2"))
    with av.open(io.BytesIO(data), format=DEMUXERS[format]) as media:
        assert isinstance(media, InputContainer)
        (track,) = media.streams.audio
        assert track.layout.nb_channels == 1
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in media.decode(track)])
        return track.rate, _to_float(samples)


def _to_float(samples: NDArray[Any]) -> Samples:
    floats: Samples = samples.astype(np.float32) / np.float32(32768 if samples.dtype == np.int16 else 1)
    return floats


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("format", FORMATS)
def test_length_rate_pitch_and_level_survive(format: AudioFormat, rate: int) -> None:
    decoded_rate, samples = decode(encode(tone(3, rate), format, rate=rate), format)
    assert decoded_rate == (48_000 if format == "opus" else 24_000)
    # ADTS has no way to say how much of the first and last frame is padding: one to two frames of 43 ms.
    assert abs(len(samples) / decoded_rate - 3) <= (0.09 if format == "aac" else 0.06)
    middle = samples[decoded_rate : 2 * decoded_rate]
    assert abs(float(np.abs(middle).max()) - 0.5) < 0.05
    assert abs(np.abs(np.fft.rfft(middle)).argmax() - 440) <= 1


@pytest.mark.parametrize("format", FORMATS)
def test_the_media_type_is_the_documented_one(format: AudioFormat) -> None:
    assert Encoder(format, 24_000).media_type == MEDIA_TYPES[format]
    assert Encoder(format, 24_000).sample_rate == 24_000


@pytest.mark.parametrize("format", FORMATS)
def test_the_first_tenth_of_a_second_already_gives_sound(format: AudioFormat) -> None:
    encoder = Encoder(format, 24_000)
    first = b"".join(encoder.feed(piece) for piece in np.split(tone(0.1, 24_000), 5))
    if format == "aac":  # Its first frame waits for the second: 85 ms of sound and what the resampling holds.
        first += encoder.feed(tone(0.03, 24_000))
    assert len(decode(first, format)[1]) > 0


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_keep_coming_while_sound_is_fed(format: AudioFormat) -> None:
    encoder = Encoder(format, 24_000)
    sizes = [len(encoder.feed(piece)) for piece in np.split(tone(2, 24_000), 10)]
    assert all(size > 0 for size in sizes)


@settings(deadline=None, max_examples=15)
@given(sizes=st.lists(st.sampled_from([0, 1, 2, 333, 1151, 4096]), max_size=40), format=st.sampled_from(FORMATS))
def test_how_the_sound_is_cut_into_pieces_changes_nothing(sizes: list[int], format: AudioFormat) -> None:
    whole = encode(tone(0.7, 24_000), format)
    cut = encode(tone(0.7, 24_000), format, sizes=sizes)
    if format == "opus":  # Each Ogg stream has a number of its own.
        assert np.array_equal(decode(cut, format)[1], decode(whole, format)[1])
    else:
        assert cut == whole


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_keep_every_sample(format: AudioFormat) -> None:
    samples = np.round(tone(1, 24_000) * 32768) / 32768
    assert np.array_equal(decode(encode(samples.astype(np.float32), format), format)[1], samples)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_too_loud_or_no_number_is_tamed(format: AudioFormat) -> None:
    samples = tone(1, 24_000, amplitude=3)
    samples[5000:5100] = np.nan
    samples[6000] = np.inf
    decoded = decode(encode(samples, format), format)[1]
    assert np.isfinite(decoded).all()
    assert 0.9 < np.abs(decoded).max() < 1.6


@pytest.mark.parametrize("format", FORMATS)
def test_no_sound_at_all_is_no_failure(format: AudioFormat) -> None:
    data = encode(np.empty(0, np.float32), format)
    assert len(data) < 200


def test_a_streamed_wav_leaves_its_length_open() -> None:
    data = encode(tone(1, 24_000), "wav")
    assert struct.unpack("<4sI4s4sIHHIIHH4sI", data[:44]) == (
        *(b"RIFF", 0xFFFFFFFF, b"WAVE"),
        *(b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16),
        *(b"data", 0xFFFFFFFF),
    )
    assert len(data) == 44 + 48_000


async def test_encoders_work_on_many_threads() -> None:
    samples = tone(2, 24_000)
    alone = {format: len(encode(samples, format)) for format in FORMATS}
    tasks = [asyncio.to_thread(encode, samples, format, sizes=[480] * 100) for format in FORMATS for _ in range(4)]
    sizes = [len(data) for data in await asyncio.gather(*tasks)]
    assert sizes == [alone[format] for format in FORMATS for _ in range(4)]
