"""What a file is, told by its first bytes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.sniff import AAC, FLAC, MATROSKA, MP3, MP4, MPEG_PS, MPEG_TS, OGG, WAV, WEBM, Container, sniff

pytestmark = pytest.mark.unit

MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes
MP3_FRAME_24K = b"\xff\xf3\x84\xc0" + bytes(188)  # MPEG-2 layer III, 64 kbit/s, 24 kHz: 192 bytes
LAYER_2_FRAME = b"\xff\xfd\x84\x00" + bytes(380)  # MPEG-1 layer II, 128 kbit/s, 48 kHz: 384 bytes
ADTS_FRAME = b"\xff\xf1\x58\x40\x04\x00\xfc" + bytes(25)  # 32 bytes
ID3_EMPTY = b"ID3\x04\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", WAV),
        (b"RF64\xff\xff\xff\xffWAVEds64", WAV),
        (b"fLaC\x00\x00\x00\x22", FLAC),
        (b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead", OGG),
        (b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00", MP4),
        (b"\x00\x00\x00\x18ftypqt  ", MP4),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm\x42\x87", WEBM),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", MATROSKA),
        (b"\x00\x00\x01\xba\x44", MPEG_PS),
        (b"\x47".ljust(188, b"\x00") * 5, MPEG_TS),
        (MP3_FRAME * 3, MP3),
        (MP3_FRAME_24K * 3, MP3),
        (LAYER_2_FRAME * 3, MP3),
        (bytes(100) + MP3_FRAME * 3, MP3),
        (ID3_EMPTY + MP3_FRAME * 3, MP3),
        (ID3_EMPTY + ADTS_FRAME * 3, AAC),
        (ID3_EMPTY + b"fLaC\x00\x00\x00\x22", FLAC),
        (b"ID3\x03\x00\x00\x00\x7f\x00\x00" + bytes(4086), MP3),
        (ADTS_FRAME * 3, AAC),
    ],
)
def test_each_container_is_known_by_its_magic(head: bytes, container: Container) -> None:
    assert sniff(head) == container


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"R",
        b"RIFF\x24\x00\x00\x00AVI LIST",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\nhttp://127.0.0.1/secret.ts\n",
        b"[playlist]\nFile1=file:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"file '/etc/passwd'\n",
        b'<?xml version="1.0"?><MPD></MPD>',
        b"<html><body></body></html>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"PK\x03\x04",
        b"%PDF-1.7",
        b"hello, this is a text",
        b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84evil",
        b"\xff\xfb\x90\x00" + b"x" * 1000,  # an MPEG header, and no second one where it must be
        b"\xff\xff\xff\xff" * 100,
        b"ID3\x04\x00\x00\xff\xff\xff\xff" + bytes(100),
        bytes(4096),
    ],
)
def test_playlists_documents_pictures_and_noise_are_nothing(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=5000))
def test_no_bytes_make_it_fail(head: bytes) -> None:
    assert sniff(head) is None or isinstance(sniff(head), Container)


@given(st.integers(0, 4096), st.binary(min_size=1, max_size=64))
def test_nested_tags_do_not_make_it_fail(repeats: int, rest: bytes) -> None:
    sniff((ID3_EMPTY * repeats + rest)[:4096])


def test_it_loads_no_codec() -> None:
    script = "import sys, antiphon.audio.sniff; print({'av', 'numpy', 'soxr', 'onnxruntime'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
        == "set()"
    )
