"""What hostile files do: nothing, to anybody but their sender."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.decode import DecoderPool
from antiphon.errors import AudioTooShort, InvalidAudio
from tests.integration.audio.files import (
    EXTENSIBLE,
    FLOAT,
    encoded,
    mp4_box,
    ogg_page,
    silent_film,
    tone,
    wav,
    wav16,
)

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Keep = Callable[[bytes], Path]

UNSUPPORTED = (
    "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']"
)
TOO_SHORT = "Audio file is too short. Minimum audio length is 0.1 seconds."
DATA = (tone(1, 16_000) * 32767).astype("<i2").tobytes()
NOISE = np.random.default_rng(7).integers(0, 256, 60_000, dtype=np.uint8).tobytes()
MP3 = encoded(tone(2, 24_000), rate=24_000, muxer="mp3", codec="libmp3lame")


def _cover_only() -> bytes:
    picture = b"\x00image/png\x00\x03\x00\x89PNG\r\n\x1a\n" + bytes(200)
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\x00\x00" + picture
    return b"ID3\x03\x00\x00" + bytes([0, 0, len(frame) >> 7, len(frame) & 0x7F]) + frame


REFUSED = {
    "zero bits per sample": wav(DATA, bits=0, block=2),
    "zero bits and no blocks": wav(DATA, bits=0, block=0),
    "128 bits per sample": wav(DATA, bits=128),
    "unknown format tag": wav(DATA, tag=0x1234),
    "format tag 0": wav(DATA, tag=0),
    "format tag 0xFFFF": wav(DATA, tag=0xFFFF),
    "unknown extensible format": wav(DATA, tag=EXTENSIBLE, extra=struct.pack("<HHI", 22, 16, 4) + b"\xab" * 16),
    "no channels": wav(DATA, channels=0, block=2),
    "65535 channels": wav(DATA, channels=65535, block=2),
    "a rate of 0": wav(DATA, rate=0),
    "a rate of 4 GHz": wav(DATA, rate=0xFFFFFFFF),
    "mp3 in name only": wav(DATA, tag=0x55, bits=0, block=1),
    "aac in name only": wav(DATA, tag=0xFF),
    "half a header": wav16(tone(1, 16_000))[:40],
    "noise": NOISE,
    "text": b"hello, hello\n" * 100,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "an archive": b"PK\x03\x04" + bytes(1000),
    "hls to a local file": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
    "hls to a server": b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n",
    "a concat script": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "a playlist": b"[playlist]\nFile1=http://127.0.0.1:9/\n",
    "a cover and no music": _cover_only(),
    "an opus header with nothing in it": ogg_page([b"OpusHead" + bytes(11)]),
    "garbage behind fLaC": b"fLaC" + NOISE,
    "garbage behind OggS": b"OggS" + NOISE,
    "garbage behind ftyp": b"\x00\x00\x00\x20ftypM4A " + NOISE,
    "garbage behind EBML": b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm" + NOISE,
    "garbage behind a pack header": b"\x00\x00\x01\xba" + NOISE,
    "garbage behind an mp3 frame": MP3[:300] + NOISE,
    "zeros behind fLaC": b"fLaC" + bytes(50_000),
    "zeros behind ftyp": b"\x00\x00\x00\x20ftypM4A " + bytes(50_000),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_no_audio_gets_the_documented_refusal_at_once(pool: DecoderPool, keep: Keep, data: bytes) -> None:
    pids = pool.pids
    began = time.monotonic()
    with pytest.raises(InvalidAudio) as caught:
        await _decode(pool, keep(data))
    assert time.monotonic() - began < 2
    assert str(caught.value) == UNSUPPORTED
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, "invalid_value", "file")
    assert pool.pids == pids


@pytest.mark.parametrize(
    "data",
    [silent_film(muxer="mp4"), silent_film(muxer="matroska"), mp4_box(b"ftyp", b"M4A \0\0\0\0") + mp4_box(b"moov")],
    ids=["mp4 film", "mkv film", "no tracks"],
)
async def test_a_file_without_an_audio_track_is_told_so(pool: DecoderPool, keep: Keep, data: bytes) -> None:
    with pytest.raises(InvalidAudio, match="no audio track"):
        await _decode(pool, keep(data))


async def test_an_empty_file_is_told_so(pool: DecoderPool, keep: Keep) -> None:
    with pytest.raises(InvalidAudio, match="empty"):
        await _decode(pool, keep(b""))


@pytest.mark.parametrize(
    "data",
    [wav16(tone(0.05, 16_000)), wav16(tone(0.05, 48_000), rate=48_000), wav(b""), wav(b"", promised=1 << 31)],
    ids=["50 ms", "50 ms at 48 kHz", "no samples", "no samples but promises"],
)
async def test_too_little_sound_is_told_so(pool: DecoderPool, keep: Keep, data: bytes) -> None:
    with pytest.raises(AudioTooShort) as caught:
        await _decode(pool, keep(data))
    assert str(caught.value) == TOO_SHORT
    assert (caught.value.code, caught.value.param) == ("audio_too_short", "file")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("muxer", "codec", "rate"),
    [
        ("mp3", "libmp3lame", 24_000),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("ipod", "aac", 24_000),
        ("flac", "flac", 24_000),
        ("wav", "adpcm_ms", 24_000),
    ],
)
async def test_flipped_bytes_harm_nobody(
    pool: DecoderPool, keep: Keep, muxer: str, codec: str, rate: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(encoded(tone(2, rate), rate=rate, muxer=muxer, codec=codec))
    for at in random.integers(0, len(data), 1 + len(data) // 300):
        data[at] = random.integers(0, 256)
    try:
        samples = await _decode(pool, keep(bytes(data)))
    except InvalidAudio:
        return
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


async def test_the_decoders_are_as_good_as_before(pool: DecoderPool, keep: Keep) -> None:
    assert len(await _decode(pool, keep(wav16(tone(1, 16_000))))) == 16_000


async def test_samples_beyond_all_measure_are_clipped(pool: DecoderPool, keep: Keep) -> None:
    loud = (tone(1, 16_000) * 1e30).astype("<f4").tobytes()
    assert np.abs(await _decode(pool, keep(wav(loud, tag=FLOAT, bits=32)))).max() <= 1


async def _decode(pool: DecoderPool, path: Path) -> np.ndarray:
    async with asyncio.timeout(20), pool.decode(path) as pcm:
        return pcm.read(0, await pcm.length())
