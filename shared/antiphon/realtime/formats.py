"""Audio formats of the protocol: raw samples, mono, without a header."""

from __future__ import annotations

from typing import Any

from antiphon.errors import InvalidValue
from antiphon.given import Given

PCM_RATE = 24_000
"""Samples per second of `audio/pcm`, the only rate of it that there is."""
FORMATS = ("audio/pcm", "audio/pcmu", "audio/pcma")


def audio_format(kind: str) -> dict[str, Any]:
    """Return the object that names a format, such as `audio/pcm`."""
    return {"type": kind, "rate": PCM_RATE} if kind == "audio/pcm" else {"type": kind}


def read_format(given: Given) -> dict[str, Any]:
    """Return the object that names a format. Raises `InvalidRequest`."""
    members = given.filled(("type", "rate"))
    kind = given.required("type").choice(FORMATS)
    rate = members.get("rate")
    if rate is not None:
        asked = rate.integer(minimum=1, maximum=2**31)
        served = PCM_RATE if kind == "audio/pcm" else 8_000
        if asked != served:
            raise InvalidValue(f"Invalid value: {asked}. Supported values are: {served}.", param=rate.param)
    return audio_format(kind)
