"""Recordings in messages: an audio file in base64."""

from __future__ import annotations

import binascii

from antiphon.errors import AudioTooShort, InvalidAudio, InvalidValue
from antiphon.given import MaybeGiven
from services.ingest.chat.request import Recording

MAX_RECORDED_BYTES = 20 * 1024 * 1024
"""Most bytes of audio in one message."""

_HOSTED_FORMATS = ("wav", "mp3")
_FORMATS = (*_HOSTED_FORMATS, "flac", "m4a", "mp4", "mpeg", "mpga", "oga", "ogg", "opus", "webm", "aac")
_WHITE_SPACE = b" \t\r\n\v\f"


def read_recording(part: MaybeGiven, *, strict: bool) -> Recording:
    """Return the recording of an `input_audio` part. Decoding holds the thread for about 10 ms a megabyte.

    Raises `MissingParameter`, `InvalidValue`, `InvalidAudio`, `AudioTooShort`.
    """
    audio = part.member("input_audio")
    given = audio.member("data")
    encoded = given.required_text()
    format_ = audio.member("format").required_choice(_HOSTED_FORMATS if strict else _FORMATS)
    if encoded.startswith("data:"):
        raise InvalidValue(
            f"Invalid value for '{given.param}': expected base64 alone, not a data URL. "
            "Leave out what precedes the base64, 'data:…;base64,'.",
            param=given.param,
        )
    data = _decoded(encoded, given.param)
    if not data:
        raise AudioTooShort("Audio file is too short. Minimum audio length is 0.1 seconds.", param=given.param)
    return Recording(data=data, format=format_, param=given.param)


def check_size(recordings: list[Recording]) -> None:
    """Raise `InvalidAudio` when the recordings of one message are too large."""
    size = 0
    for recording in recordings:
        size += len(recording.data)
        if size > MAX_RECORDED_BYTES:
            raise InvalidAudio(
                f"Invalid '{recording.param}': audio too large. "
                f"A message may hold {MAX_RECORDED_BYTES} bytes of audio at most.",
                param=recording.param,
            )


def _decoded(encoded: str, param: str) -> bytes:
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        pass
    try:
        # Tools that break base64 into lines are common enough.
        return binascii.a2b_base64(encoded.encode("ascii").translate(None, _WHITE_SPACE), strict_mode=True)
    except ValueError:
        raise InvalidAudio(f"Invalid value for '{param}': it is not valid base64.", param=param) from None
