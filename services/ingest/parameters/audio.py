"""Where the audio of a job is, when it does not come with the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from antiphon.audio.sniff import HEAD_BYTES, sniff
from antiphon.blobs.references import is_large_name, is_url, read_inline, redis_key, split_reference
from antiphon.errors import InvalidValue
from antiphon.given import missing
from services.ingest.parameters.fields import Parameters
from services.ingest.upload import NOT_AUDIO

CheckUrl = Callable[..., object]
"""`check_url(url, param=…)` raises `InvalidValue` for a URL that will not be asked."""

_FORMS = ("url", "blob", "data")


@dataclass(frozen=True)
class AudioSource:
    """Audio at a URL or in a store of the platform, named by `uri`, or that came within the request, `inline`."""

    uri: str | None
    inline: bytes | None = None
    media_type: str | None = None


def read_audio(parameters: Parameters, check_url: CheckUrl, *, uploaded: bool) -> AudioSource | None:
    """Return where the audio is, None when it was uploaded.

    Raises `MissingParameter` when it is nowhere, `InvalidValue` when it is in two places or cannot be had.
    """
    value = parameters.members("audio")
    if uploaded:
        if value is not None:
            raise InvalidValue("Only one of 'file' and 'audio' may be given.", param="audio")
        return None
    if value is None or value in ("", {}):
        raise missing("audio")
    form, reference = _reference(value)
    scheme, rest = split_reference(reference)
    if form == "data" or (form == "" and scheme == "data"):
        return _inline(scheme, rest)
    if form == "url" or (form == "" and scheme not in {"redis", "file", "s3"}):
        check_url(reference, param="audio")
        return AudioSource(reference)
    _check_stored(scheme, rest)
    return AudioSource(f"{scheme}:{rest}")


def _reference(value: str | dict[str, Any]) -> tuple[str, str]:
    """Return how a reference is meant, "" when it is for itself to say, and the reference."""
    if isinstance(value, str):
        return "", value
    given = [form for form in _FORMS if value.get(form) is not None]
    if len(given) != 1 or not isinstance(value[given[0]], str):
        raise InvalidValue("Invalid 'audio': expected one of 'url', 'blob' and 'data', as a string.", param="audio")
    return given[0], value[given[0]]


def _inline(scheme: str, rest: str) -> AudioSource:
    if scheme != "data":
        raise InvalidValue("Invalid 'audio': expected a data: URL.", param="audio")
    data = read_inline(rest)
    container = sniff(data[:HEAD_BYTES])
    if container is None:
        raise InvalidValue(NOT_AUDIO, param="audio")
    return AudioSource(None, data, container.media_type)


def _check_stored(scheme: str, name: str) -> None:
    if scheme == "redis":
        redis_key(name)
    elif is_url(scheme) or scheme not in {"file", "s3"} or not is_large_name(name):
        raise InvalidValue("The audio reference names no store of this platform.", param="audio")
