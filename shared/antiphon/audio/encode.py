"""Encode sound as a stream: bytes come out as soon as the codec can give them, and joined they are one valid file."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from antiphon.audio.resample import Resampler
from antiphon.audio.samples import SPEECH_RATE, Samples
from antiphon.schemas import MEDIA_TYPES, AudioFormat

_UNKNOWN_SIZE = 0xFFFF_FFFF


class Encoder:
    """Takes float32 mono at `rate` Hz in pieces of any size and gives bytes of `format` at 24 kHz.

    Belongs to one caller at a time, on any thread. Samples beyond full scale are clipped, NaN becomes silence.
    """

    def __init__(self, format: AudioFormat, rate: int, *, serial: int = 0) -> None:
        """`serial` tells this stream of an Ogg container from others that may be put behind it; the rest has none."""
        self.media_type = MEDIA_TYPES[format]
        self.sample_rate = SPEECH_RATE
        self._resampler = Resampler(rate, SPEECH_RATE)
        self._sink: _Sink = _Plain(format) if format in ("pcm", "wav") else _Compressed(_CODECS[format], serial)

    def feed(self, samples: Samples) -> bytes:
        """Return the bytes that `samples`, float32 of shape (n,), complete; often none, for a codec works in frames."""
        return self._sink.write(_within_scale(self._resampler.feed(samples)))

    def finish(self) -> bytes:
        """Return the rest of the file. Nothing may be fed afterwards."""
        return self._sink.write(_within_scale(self._resampler.finish())) + self._sink.close()


def _within_scale(samples: Samples) -> Samples:
    clipped: Samples = np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)
    return clipped


def _to_int16(samples: Samples) -> NDArray[np.int16]:
    integers: NDArray[np.int16] = np.rint(np.minimum(samples * 32768.0, 32767.0)).astype("<i2")
    return integers


class _Sink(Protocol):
    def write(self, samples: Samples) -> bytes: ...
    def close(self) -> bytes: ...


class _Plain:
    """Signed 16-bit samples, behind a header that leaves the length open when there is one."""

    def __init__(self, format: AudioFormat) -> None:
        self._header = wav_header() if format == "wav" else b""

    def write(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + _to_int16(samples).tobytes()

    def close(self) -> bytes:
        header, self._header = self._header, b""
        return header


@dataclass(frozen=True)
class _Codec:
    """How FFmpeg is to encode one format. `bitrate` in bit/s; none for a lossless codec."""

    name: str
    muxer: str
    samples: str
    bitrate: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    muxer_options: dict[str, str] = field(default_factory=dict)


_CODECS: dict[AudioFormat, _Codec] = {
    # No bit reservoir: with one, a frame waits for later ones. No Xing header: it is written last, at the front.
    "mp3": _Codec("libmp3lame", "mp3", "fltp", 96_000, {"reservoir": "0"}, {"write_xing": "0", "id3v2_version": "0"}),
    "opus": _Codec("libopus", "ogg", "flt", 48_000, {"frame_duration": "20"}, {"page_duration": "20000"}),
    "aac": _Codec("aac", "adts", "fltp", 96_000, {"aac_coder": "fast"}),
    "flac": _Codec("flac", "flac", "s16", None, {}, {"metadata_header_padding": "0"}),
}


class _Compressed:
    """A codec and a container of FFmpeg's, writing to memory that cannot be sought in."""

    def __init__(self, codec: _Codec, serial: int) -> None:
        self._codec = codec
        self._written = _Memory()
        # The same sound gives the same bytes: an Ogg stream would be numbered at random otherwise.
        options = codec.muxer_options | {"flush_packets": "1", "fflags": "+bitexact"}
        if codec.muxer == "ogg":
            options["serial_offset"] = str(serial)
        self._container = av.open(self._written, "w", format=codec.muxer, container_options=options)
        stream = self._container.add_stream(codec.name, rate=SPEECH_RATE, options=codec.options)
        assert isinstance(stream, AudioStream)  # noqa: S101 (tells the type)
        stream.codec_context.layout = "mono"
        stream.codec_context.format = codec.samples
        stream.codec_context.thread_count = 1
        if codec.bitrate is not None:
            stream.codec_context.bit_rate = codec.bitrate
        self._stream = stream
        self._position = 0

    def write(self, samples: Samples) -> bytes:
        if samples.size:
            data = _to_int16(samples) if self._codec.samples == "s16" else samples
            frame = AudioFrame.from_ndarray(data.reshape(1, -1), format=self._codec.samples, layout="mono")
            frame.sample_rate = SPEECH_RATE
            frame.time_base = Fraction(1, SPEECH_RATE)
            frame.pts = self._position
            self._position += samples.size
            self._container.mux(self._stream.encode(frame))
        return self._written.take()

    def close(self) -> bytes:
        self._container.start_encoding()
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._written.take()


class _Memory:
    """What FFmpeg writes to: it has no `seek`, so that nothing already sent is ever changed."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


def wav_header(data_bytes: int | None = None) -> bytes:
    """Return the header of 16-bit mono sound at 24 kHz; without its size it leaves the length open."""
    byte_rate = 2 * SPEECH_RATE
    header_bytes = 36
    data_size = _UNKNOWN_SIZE if data_bytes is None else data_bytes
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", min(_UNKNOWN_SIZE, header_bytes + data_size), b"WAVE"),
        *(b"fmt ", 16, 1, 1, SPEECH_RATE, byte_rate, 2, 16),
        *(b"data", data_size),
    )
