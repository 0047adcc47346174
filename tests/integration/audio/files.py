"""Audio files written by hand: honest ones, and ones that lie."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


def tone(seconds: float, rate: int, *, hz: float = 440, amplitude: float = 0.5) -> NDArray[np.float32]:
    """Return a sine as float32."""
    at = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def wav(
    data: bytes,
    *,
    tag: int = PCM,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    block: int | None = None,
    promised: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """Return a WAV whose header says what it is told to; `promised` is the length that the data chunk claims."""
    block = channels * bits // 8 if block is None else block
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFFFFFF, block, bits) + extra
    promised = len(data) if promised is None else promised
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", promised) + data
    return b"RIFF" + struct.pack("<I", min(len(body) - len(data) + promised, 0xFFFFFFFF)) + body


def wav16(samples: NDArray[np.float32], *, rate: int = 16_000, channels: int = 1) -> bytes:
    """Return samples as an ordinary 16-bit WAV, the same in every channel."""
    integers = np.rint(samples * 32767).astype("<i2")
    return wav(np.repeat(integers, channels).tobytes(), rate=rate, channels=channels)


def encoded(samples: NDArray[np.float32], *, rate: int, muxer: str, codec: str, with_picture: bool = False) -> bytes:
    """Return samples in a container of FFmpeg's, beside a video track if `with_picture`."""
    sink = io.BytesIO()
    with av.open(sink, "w", format=muxer) as container:
        picture = _add_picture(container) if with_picture else None
        sound = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(sound, AudioStream)
        if picture is not None:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = rate
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return sink.getvalue()


def silent_film(*, muxer: str) -> bytes:
    """Return a container with a video track and no other."""
    sink = io.BytesIO()
    with av.open(sink, "w", format=muxer) as container:
        picture = _add_picture(container)
        container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(picture.encode(None))
    return sink.getvalue()


def _add_picture(container: OutputContainer) -> VideoStream:
    picture = container.add_stream("mpeg4", rate=25)
    assert isinstance(picture, VideoStream)
    picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
    return picture


def mp4_box(kind: bytes, *children: bytes) -> bytes:
    """Return one box of an MP4."""
    body = b"".join(children)
    return struct.pack(">I", 8 + len(body)) + kind + body


def ogg_page(
    payloads: Sequence[bytes], *, serial: int = 1, sequence: int = 0, flags: int = 0, granule: int = 0
) -> bytes:
    """Return one Ogg page with a wrong checksum."""
    lacing = b"".join(b"\xff" * (len(each) // 255) + bytes([len(each) % 255]) for each in payloads)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, sequence, 0, len(lacing))
    return head + lacing + b"".join(payloads)
