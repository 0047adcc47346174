"""Parameters of /audio/speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from antiphon.errors import InvalidValue, UnsupportedValue
from antiphon.models import PublicModel
from antiphon.schemas import AudioFormat
from services.ingest.parameters.fields import Fields, in_range, missing, one_of

StreamFormat = Literal["audio", "sse"]

MAX_INPUT_CHARACTERS = 4096
_FORMATS: tuple[AudioFormat, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_STREAM_FORMATS: tuple[StreamFormat, ...] = ("audio", "sse")


@dataclass(frozen=True)
class SpeechRequest:
    """What a caller wants to hear."""

    text: str
    voice: str
    instructions: str | None
    format: AudioFormat
    speed: float
    stream_format: StreamFormat


def read_speech(values: Mapping[str, Any], model: PublicModel) -> SpeechRequest:
    """Check the body of /audio/speech. Raises `MissingParameter`, `InvalidValue`, `UnsupportedValue`."""
    text = _string(values, "input", maximum=MAX_INPUT_CHARACTERS)
    if text is None:
        raise missing("input")
    if not text.strip():
        raise InvalidValue("Invalid 'input': expected a string with something to say.", param="input")
    stream_format = one_of("stream_format", _string(values, "stream_format") or "audio", _STREAM_FORMATS)
    if stream_format == "sse" and not model.streams:
        raise UnsupportedValue(
            f"Unsupported value: 'stream_format' does not support 'sse' with model '{model.id}'.", param="stream_format"
        )
    return SpeechRequest(
        text=text,
        voice=_voice(values.get("voice")),
        instructions=_string(values, "instructions", maximum=MAX_INPUT_CHARACTERS) or None,
        format=one_of("response_format", _string(values, "response_format") or "mp3", _FORMATS),
        speed=_speed(values.get("speed")),
        stream_format=stream_format,
    )


def values_of(fields: Fields) -> dict[str, Any]:
    """Return the values of a form as the JSON body would have them. Raises `InvalidValue`."""
    values: dict[str, Any] = {
        name: fields.text(name) for name in ("model", "input", "instructions", "response_format", "stream_format")
    }
    return {**values, "voice": fields.members("voice"), "speed": fields.number("speed", minimum=0.25, maximum=4.0)}


def _string(values: Mapping[str, Any], name: str, *, maximum: int = 256) -> str | None:
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValue(f"Invalid type for '{name}': expected a string.", param=name)
    if len(value) > maximum:
        raise InvalidValue(
            f"Invalid '{name}': string too long. Expected a string with maximum length {maximum}, "
            f"but got a string with length {len(value)} instead.",
            param=name,
        )
    return value


def _voice(value: object) -> str:
    name = value.get("id") if isinstance(value, Mapping) else value
    if name is None or name == "":
        raise missing("voice")
    if not isinstance(name, str) or len(name) > 128:
        raise InvalidValue("Invalid type for 'voice': expected a string or an object with an 'id'.", param="voice")
    return name


def _speed(value: object) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue("Invalid type for 'speed': expected a number.", param="speed")
    return in_range("speed", float(value), minimum=0.25, maximum=4.0)
