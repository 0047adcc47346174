"""What is done with the input of a session besides listening: transcription, and noise reduction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from antiphon.errors import InvalidValue
from antiphon.given import Given, missing, shortened
from antiphon.languages import language_code

NOISE_REDUCTIONS = ("near_field", "far_field")
DELAYS = ("minimal", "low", "medium", "high", "xhigh")
LONGEST_MODEL = 256
LONGEST_PROMPT = 64 * 1024

_MOST_KEYWORDS = 1000
_LONGEST_KEYWORD = 256
_MOST_LANGUAGES = 32
_LONGEST_LANGUAGE = 64
_STRONGEST = 10.0
_TRANSCRIPTION = ("model", "language", "languages", "keywords", "prompt", "delay")
_MODELS_WITHOUT_TURNS = ("gpt-live-transcribe", "gpt-realtime-whisper")


def merge_transcription(
    before: Mapping[str, Any] | None, given: Given, *, is_transcriber: Callable[[str], bool]
) -> dict[str, Any] | None:
    """Return what becomes of the transcription `before`; None is off. Raises `InvalidRequest`."""
    if given.is_null:
        return None
    transcription = dict(before or {})
    for name, member in given.members(_TRANSCRIPTION).items():
        if member.is_null:
            transcription.pop(name, None)
        else:
            transcription[name] = _value(name, member, is_transcriber)
    if "model" not in transcription:
        raise missing(f"{given.param}.model")
    return transcription


def merge_noise_reduction(before: Mapping[str, Any] | None, given: Given) -> dict[str, Any] | None:
    """Return what becomes of the noise reduction `before`; None is off. Raises `InvalidRequest`."""
    if given.is_null:
        return None
    members = given.filled(("type", "strength"))
    reduction = dict(before or {})
    if "type" in members or not reduction:
        reduction["type"] = given.required("type").choice(NOISE_REDUCTIONS)
    if "strength" in members:
        reduction["strength"] = members["strength"].number(minimum=0.0, maximum=_STRONGEST)
    return reduction


def wants_no_turns(transcription: Mapping[str, Any] | None) -> bool:
    """Tell whether the transcription's model hears on and on, so that only its client says where something ends."""
    return transcription is not None and str(transcription["model"]).startswith(_MODELS_WITHOUT_TURNS)


def _value(name: str, given: Given, is_transcriber: Callable[[str], bool]) -> Any:
    match name:
        case "model":
            return _model(given, is_transcriber)
        case "language":
            return _language(given)
        case "languages":
            return [_language(item) for item in given.items(of="strings", most=_MOST_LANGUAGES)]
        case "keywords":
            return given.texts(most=_MOST_KEYWORDS, longest=_LONGEST_KEYWORD)
        case "prompt":
            return given.text(longest=LONGEST_PROMPT)
        case _:
            return given.choice(DELAYS)


def _model(given: Given, is_transcriber: Callable[[str], bool]) -> str:
    model = given.text(least=1, longest=LONGEST_MODEL)
    if not is_transcriber(model):
        raise InvalidValue(
            f"Invalid value: '{shortened(model)}'. There is no transcription model with this name.", param=given.param
        )
    return model


def _language(given: Given) -> str:
    language = given.text(longest=_LONGEST_LANGUAGE)
    # An empty one is how clients of old say that they do not know.
    if language and language_code(language) is None:
        raise InvalidValue(
            f"Invalid language '{shortened(language)}'. Language parameter must be specified in ISO-639-1 format.",
            param=given.param,
        )
    return language
