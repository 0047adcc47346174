"""Parameters of /audio/speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from antiphon.errors import InvalidValue, UnsupportedValue
from antiphon.given import missing
from antiphon.models import PublicModel
from antiphon.schemas import AudioFormat
from services.ingest.parameters.fields import Parameters, no_longer_than, one_of

StreamFormat = Literal["audio", "sse"]

MAX_INPUT_CHARACTERS = 4096
_MAX_VOICE_CHARACTERS = 128
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


def read_speech(parameters: Parameters, model: PublicModel) -> SpeechRequest:
    """Check the parameters of /audio/speech. Raises `MissingParameter`, `InvalidValue`, `UnsupportedValue`."""
    text = no_longer_than("input", parameters.required("input"), MAX_INPUT_CHARACTERS)
    if not text.strip():
        raise InvalidValue("Invalid 'input': expected a string with something to say.", param="input")
    stream_format = one_of("stream_format", parameters.text("stream_format") or "audio", _STREAM_FORMATS)
    if stream_format == "sse" and not model.streams:
        raise UnsupportedValue(
            f"Unsupported value: 'stream_format' does not support 'sse' with model '{model.id}'.", param="stream_format"
        )
    instructions = no_longer_than("instructions", parameters.text("instructions") or "", MAX_INPUT_CHARACTERS)
    return SpeechRequest(
        text=text,
        voice=_voice(parameters.members("voice")),
        instructions=instructions or None,
        format=one_of("response_format", parameters.text("response_format") or "mp3", _FORMATS),
        speed=_speed(parameters),
        stream_format=stream_format,
    )


def _voice(value: str | Mapping[str, Any] | None) -> str:
    name = value.get("id") if isinstance(value, Mapping) else value
    if name is None or name == "":
        raise missing("voice")
    if not isinstance(name, str) or len(name) > _MAX_VOICE_CHARACTERS:
        raise InvalidValue("Invalid type for 'voice': expected a string or an object with an 'id'.", param="voice")
    return name


def _speed(parameters: Parameters) -> float:
    speed = parameters.number("speed", minimum=0.25, maximum=4.0)
    return 1.0 if speed is None else speed
