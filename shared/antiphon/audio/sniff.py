"""Tell which container bytes are, from their beginning alone: no codec ever sees what is refused here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HEAD_BYTES = 4096
"""How much of a file `sniff` wants to see."""


@dataclass(frozen=True)
class Container:
    """A container that can be decoded, and its media type."""

    name: str
    media_type: str


WAV = Container("wav", "audio/wav")
FLAC = Container("flac", "audio/flac")
MP3 = Container("mp3", "audio/mpeg")
MP4 = Container("mp4", "audio/mp4")
OGG = Container("ogg", "audio/ogg")
WEBM = Container("webm", "audio/webm")
MATROSKA = Container("matroska", "audio/x-matroska")
AAC = Container("aac", "audio/aac")
MPEG_PS = Container("mpeg", "video/mpeg")
MPEG_TS = Container("mpegts", "video/mp2t")

_MAGICS = (
    (8, b"WAVE", WAV),  # after RIFF, RF64, BW64 or RIFX and a size that may lie
    (0, b"OggS", OGG),
    (4, b"ftyp", MP4),
    (0, b"\x00\x00\x01\xba", MPEG_PS),
)
_TS_PACKET_BYTES = 188
_LONGEST_HEADER_BYTES = 7

# By whether the sample rate is one of MPEG-2 or 2.5, and the layer; index 0 of the header, "free format", is left out.
_BITRATES_KBPS = {
    (False, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (False, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (True, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (True, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def sniff(head: bytes) -> Container | None:
    """Return the container that `head`, the first `HEAD_BYTES` of a file, begins; None for anything else.

    Playlists, documents and archives are "anything else": no demuxer that opens further files can be reached from here.
    """
    for offset, magic, container in _MAGICS:
        if head.startswith(magic, offset):
            return container
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _matroska(head)
    tagged = False
    while head.startswith(b"ID3"):
        head, tagged = _after_tag(head), True
    if tagged and not head:
        return (
            MP3  # The tag, with a picture in it, fills the head. What carries such tags is hardly ever anything else.
        )
    return _elementary(head.lstrip(b"\x00"))


def _after_tag(head: bytes) -> bytes:
    """Return what follows the ID3v2 tag that begins `head`; something that is no container if the tag is none."""
    size = 0
    for byte in head[6:10]:
        if byte & 0x80:
            return b"\x00"
        size = size << 7 | byte
    has_footer = len(head) > 5 and bool(head[5] & 0x10)
    return head[10 + size + 10 * has_footer :]


def _elementary(head: bytes) -> Container | None:
    if head[:4] == b"fLaC":
        return FLAC
    if _repeats(head, _mpeg_frame_bytes):
        return MP3
    if _repeats(head, _adts_frame_bytes):
        return AAC
    if head[: 4 * _TS_PACKET_BYTES : _TS_PACKET_BYTES] == b"\x47" * 4:
        return MPEG_TS
    return None


def _repeats(head: bytes, measure: Callable[[bytes], int | None]) -> bool:
    """Tell whether a frame begins `head` and another of its kind, or the end of the file, follows it."""
    frame_bytes = measure(head)
    if frame_bytes is None:
        return False
    following = head[frame_bytes:]
    return len(following) < _LONGEST_HEADER_BYTES or measure(following) is not None


def _mpeg_frame_bytes(head: bytes) -> int | None:
    """Return the size of the MPEG audio frame, any version and layer, whose header begins `head`."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    halvings = {3: 0, 2: 1, 0: 2}.get(head[1] >> 3 & 3)
    layer = {3: 1, 2: 2, 1: 3}.get(head[1] >> 1 & 3)
    bitrate_index, rate_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if halvings is None or layer is None or bitrate_index in (0, 15) or rate_index == 3:
        return None
    rate = (44_100, 48_000, 32_000)[rate_index] >> halvings
    bitrate = 1000 * _BITRATES_KBPS[halvings > 0, layer][bitrate_index - 1]
    if layer == 1:
        return (12 * bitrate // rate + padding) * 4
    return (72 if halvings and layer == 3 else 144) * bitrate // rate + padding


def _adts_frame_bytes(head: bytes) -> int | None:
    """Return the size of the ADTS frame whose header begins `head`."""
    if len(head) < _LONGEST_HEADER_BYTES or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 0xF > 12:
        return None
    frame_bytes = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return frame_bytes if frame_bytes > _LONGEST_HEADER_BYTES else None


def _matroska(head: bytes) -> Container | None:
    """Read the DocType element, which stands within the first bytes of the EBML header."""
    at = head.find(b"\x42\x82", 4, 128)
    if at < 0 or at + 3 > len(head):
        return None
    size = head[at + 2] & 0x7F
    return {b"webm": WEBM, b"matroska": MATROSKA}.get(head[at + 3 : at + 3 + size].rstrip(b"\x00"))
