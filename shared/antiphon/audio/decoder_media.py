"""Decode one container with FFmpeg's libraries to 16 kHz mono. Runs in a decoder process only."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NoReturn

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from antiphon.audio.decoder_protocol import SPOOL_RATE, SPOOL_SAMPLE_BYTES

_DEMUXERS = {
    "wav": "wav",
    "flac": "flac",
    "mp3": "mp3",
    "mp4": "mov",
    "ogg": "ogg",
    "webm": "matroska",
    "matroska": "matroska",
    "aac": "aac",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
}
# Samples that look like something else are still samples; looking would also take longer than decoding a short clip.
_TAKEN_AT_THEIR_WORD = ("wav",)

# Nothing else is ever opened, not even to probe a stream: no video decoder, no picture decoder, no subtitle parser.
_CODECS = frozenset(
    """
    aac aac_latm ac3 adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_yamaha alac amrnb amrwb eac3 flac g722 gsm gsm_ms mp1
    mp1float mp2 mp2float mp3 mp3float opus pcm_alaw pcm_bluray pcm_dvd pcm_f16le pcm_f24le pcm_f32be pcm_f32le
    pcm_f64be pcm_f64le pcm_mulaw pcm_s16be pcm_s16le pcm_s24be pcm_s24le pcm_s32be pcm_s32le pcm_s64be pcm_s64le pcm_s8
    pcm_u8 speex vorbis wavpack wmav1 wmav2
    """.split()  # noqa: SIM905
)

_NAMED_CHANNELS = 8
_FIRST_BLOCK_S = 0.5
_LONGEST_BLOCK_S = 8.0


class NoAudio(Exception):
    """There is no audio track."""


class Undecodable(Exception):
    """The bytes are not what they claim to be, or hold a codec that is not taken."""


def decode(source: io.RawIOBase | io.BytesIO, container: str) -> Iterator[bytes]:
    """Yield the first audio track as signed 16-bit samples, mono, 16 kHz, in blocks of 0.5 s at first and growing.

    What is damaged is left out; what is missing at the end is not missed. NaN and infinity become silence.
    Raises `NoAudio`, `Undecodable`, MemoryError.
    """
    demuxer = _DEMUXERS[container]
    options = {"codec_whitelist": ",".join(sorted(_CODECS)), "format_whitelist": demuxer}
    if demuxer in _TAKEN_AT_THEIR_WORD:
        options["max_probe_packets"] = "0"
    try:
        with av.open(
            source,
            format=demuxer,
            metadata_errors="ignore",
            buffer_size=1 << 16,
            io_open=_refuse,
            container_options=options,
        ) as media:
            assert isinstance(media, InputContainer)  # noqa: S101 (tells the type)
            if not media.streams.audio:
                raise NoAudio
            track = next(filter(_can_be_decoded, media.streams.audio), None)
            if track is None:
                raise Undecodable
            track.codec_context.thread_count = 1
            yield from _resample(_group(_decode_frames(media, track)))
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise Undecodable(str(error)) from error


def _can_be_decoded(track: AudioStream) -> bool:
    # The stubs say that there always is a context. There is none for a codec that FFmpeg cannot name or make sense of.
    context: object = track.codec_context
    return context is not None and track.codec_context.name in _CODECS


def _decode_frames(media: InputContainer, track: AudioStream) -> Iterator[AudioFrame]:
    """Yield what can be decoded. Raises `Undecodable` when there were packets and none of them could."""
    decoded = damaged = 0
    packets = media.demux(track)
    while True:
        try:
            packet = next(packets, None)
        except av.error.InvalidDataError:
            damaged += 1
            continue
        if packet is None:
            break
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
            continue
        for frame in frames:
            decoded += 1
            yield frame
    if damaged and not decoded:
        raise Undecodable


def _group(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """Join frames of the same kind: small first, so that recognition can begin, then large, so that it costs little."""
    fifo, kind, block_s = AudioFifo(), None, _FIRST_BLOCK_S
    for frame in frames:
        frame.pts = None  # Gaps in time stamps are not filled, and stamps that jump are no error.
        if kind not in (None, _kind(frame)):
            yield from fifo.read_many(0)
            fifo = AudioFifo()
        kind = _kind(frame)
        fifo.write(frame)
        if fifo.samples >= block_s * frame.sample_rate:
            yield from fifo.read_many(0)
            block_s = min(2 * block_s, _LONGEST_BLOCK_S)
    yield from fifo.read_many(0)


def _resample(frames: Iterator[AudioFrame]) -> Iterator[bytes]:
    kind, resampler = None, None
    for raw in frames:
        frame = _repaired(raw)
        if resampler is None or kind != _kind(frame):
            if resampler is not None:
                yield from map(_bytes_of, resampler.resample(None))
            resampler, kind = AudioResampler(format="s16", layout="mono", rate=SPOOL_RATE), _kind(frame)
        yield from map(_bytes_of, resampler.resample(frame))
    if resampler is not None:
        yield from map(_bytes_of, resampler.resample(None))


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _repaired(frame: AudioFrame) -> AudioFrame:
    """Return the frame without NaN and infinity, and mixed to mono when it has more channels than any layout names."""
    is_float = frame.format.name in ("flt", "fltp", "dbl", "dblp")
    channels = frame.layout.nb_channels
    if channels <= _NAMED_CHANNELS and not is_float:
        return frame
    samples: NDArray[Any] = frame.to_ndarray()
    if channels <= _NAMED_CHANNELS and np.isfinite(samples).all():
        return frame
    if is_float:
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    if channels > _NAMED_CHANNELS:
        by_channel = samples if frame.format.is_planar else samples.reshape(-1, channels).T
        samples = by_channel.mean(axis=0).astype(samples.dtype).reshape(1, -1)
    layout = "mono" if channels > _NAMED_CHANNELS else frame.layout.name
    repaired = AudioFrame.from_ndarray(samples, format=frame.format.name, layout=layout)
    repaired.sample_rate = frame.sample_rate
    return repaired


def _bytes_of(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * SPOOL_SAMPLE_BYTES]


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """Stand in for opening anything that a container refers to."""
    raise PermissionError(url)
