"""Parameters of /audio/transcriptions and /audio/translations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from antiphon.errors import InvalidValue, UnsupportedValue
from antiphon.languages import language_code
from antiphon.models import PublicModel
from antiphon.schemas import Chunking, RecognitionOptions
from services.ingest.parameters.fields import Parameters, in_range, one_of

TranscriptFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]

_FORMATS: tuple[TranscriptFormat, ...] = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
_TRANSLATION_FORMATS: tuple[TranscriptFormat, ...] = ("json", "text", "srt", "verbose_json", "vtt")
_STREAMED_FORMATS = frozenset[TranscriptFormat]({"json", "text"})
_GRANULARITIES: tuple[Granularity, ...] = ("word", "segment")
_MAX_PROMPT_CHARACTERS = 16_384
_MAX_KEYWORDS = 256


@dataclass(frozen=True)
class TranscriptionRequest:
    """What a caller wants from a recording."""

    format: TranscriptFormat
    options: RecognitionOptions
    stream: bool = False
    granularities: frozenset[Granularity] = frozenset[Granularity]({"segment"})


def read_transcription(parameters: Parameters, model: PublicModel, *, strict: bool) -> TranscriptionRequest:
    """Check the parameters of /audio/transcriptions. Raises as `read_recognition` does."""
    wanted = read_recognition(parameters, model, strict=strict)
    stream = parameters.flag("stream") and model.streams
    if stream and wanted.format not in _STREAMED_FORMATS:
        raise UnsupportedValue(
            f"Unsupported value: 'response_format' does not support '{wanted.format}' when stream=true. "
            "Supported values are: 'json' and 'text'.",
            param="response_format",
        )
    return replace(wanted, stream=stream)


def read_recognition(parameters: Parameters, model: PublicModel, *, strict: bool) -> TranscriptionRequest:
    """Check what says how to transcribe, without `stream`. Raises `InvalidValue`, `UnsupportedValue`.

    `strict` refuses what the hosted model of that name refuses.
    """
    _refuse_diarization(parameters, model)
    chosen = _readable_format(parameters, model, _FORMATS, strict=strict)
    granularities = _granularities(parameters, chosen)
    options = RecognitionOptions(
        language=_language("language", parameters.text("language")),
        languages=_candidates(parameters, model, strict=strict),
        keywords=_keywords(parameters, model, strict=strict),
        prompt=_prompt(parameters),
        temperature=parameters.number("temperature", minimum=0.0, maximum=1.0) or 0.0,
        words="word" in granularities,
        logprobs=_logprobs(parameters, model, chosen, strict=strict),
        chunking=_chunking(parameters.members("chunking_strategy")),
    )
    return TranscriptionRequest(format=chosen, options=options, granularities=granularities)


def read_translation(parameters: Parameters, model: PublicModel, *, strict: bool) -> TranscriptionRequest:
    """Check the parameters of /audio/translations. Raises `InvalidValue`, `UnsupportedValue`."""
    return TranscriptionRequest(
        format=_readable_format(parameters, model, _TRANSLATION_FORMATS, strict=strict),
        options=RecognitionOptions(
            prompt=_prompt(parameters), temperature=parameters.number("temperature", minimum=0.0, maximum=1.0) or 0.0
        ),
    )


def _readable_format(
    parameters: Parameters, model: PublicModel, allowed: tuple[TranscriptFormat, ...], *, strict: bool
) -> TranscriptFormat:
    chosen = parameters.choice("response_format", allowed, "json")
    if chosen == "diarized_json" or (strict and chosen not in model.formats):
        raise UnsupportedValue(
            f"response_format '{chosen}' is not compatible with model '{model.id}'. Use 'json' or 'text' instead.",
            param="response_format",
        )
    return chosen


def _refuse_diarization(parameters: Parameters, model: PublicModel) -> None:
    if "diarize" in model.base:
        raise UnsupportedValue(f"Unsupported model: '{model.id}'. Telling speakers apart is not served.", param="model")
    for name in ("known_speaker_names", "known_speaker_references"):
        if parameters.items(name):
            raise UnsupportedValue(
                f"Unsupported parameter: '{name}' is not supported with model '{model.id}'.", param=name
            )


def _granularities(parameters: Parameters, chosen: TranscriptFormat) -> frozenset[Granularity]:
    wanted = parameters.choices("timestamp_granularities", _GRANULARITIES)
    if wanted and chosen != "verbose_json":
        raise InvalidValue(
            f"timestamp_granularities is only supported with response_format 'verbose_json', not with '{chosen}'.",
            param="timestamp_granularities",
        )
    return wanted or frozenset[Granularity]({"segment"})


def _logprobs(parameters: Parameters, model: PublicModel, chosen: TranscriptFormat, *, strict: bool) -> bool:
    if not parameters.choices("include", ("logprobs",)):
        return False
    if chosen != "json" or (strict and not model.streams):
        subject = f"response_format '{chosen}'" if chosen != "json" else f"model '{model.id}'"
        raise UnsupportedValue(f"include[] 'logprobs' is not supported with {subject}.", param="include")
    return True


def _candidates(parameters: Parameters, model: PublicModel, *, strict: bool) -> tuple[str, ...]:
    spellings = parameters.items("languages")
    if spellings and strict:
        _require_hints(model, "languages")
    codes = (_language("languages", spelling) for spelling in spellings)
    return tuple(dict.fromkeys(code for code in codes if code))


def _keywords(parameters: Parameters, model: PublicModel, *, strict: bool) -> tuple[str, ...]:
    keywords = parameters.items("keywords")
    if keywords and strict:
        _require_hints(model, "keywords")
    if len(keywords) > _MAX_KEYWORDS:
        raise InvalidValue(f"Invalid 'keywords': at most {_MAX_KEYWORDS} are accepted.", param="keywords")
    return keywords


def _require_hints(model: PublicModel, name: str) -> None:
    if not model.base.startswith("gpt-transcribe"):
        raise UnsupportedValue(f"Unsupported parameter: '{name}' is not supported with model '{model.id}'.", param=name)


def _language(name: str, spelling: str | None) -> str | None:
    if spelling is None or spelling.lower() in {"auto", "null"}:
        return None
    code = language_code(spelling)
    if code is None:
        raise InvalidValue(
            f"Invalid language '{spelling}'. Language parameter must be specified in ISO-639-1 format.", param=name
        )
    return code


def _prompt(parameters: Parameters) -> str | None:
    prompt = parameters.text("prompt")
    if prompt and len(prompt) > _MAX_PROMPT_CHARACTERS:
        raise InvalidValue(
            f"Invalid 'prompt': at most {_MAX_PROMPT_CHARACTERS} characters are accepted.", param="prompt"
        )
    return prompt


def _chunking(value: str | dict[str, Any] | None) -> Chunking | None:
    if value is None:
        return None
    if isinstance(value, str):
        return Chunking(type=one_of("chunking_strategy", value, ("auto",)))
    kind = value.get("type")
    if kind is None:
        raise InvalidValue("Missing required parameter: 'chunking_strategy.type'.", param="chunking_strategy.type")
    defaults = Chunking()
    return Chunking(
        type=one_of("chunking_strategy.type", str(kind), ("server_vad", "auto")),
        prefix_padding_ms=round(_member(value, "prefix_padding_ms", 0, 10_000, defaults.prefix_padding_ms)),
        silence_duration_ms=round(_member(value, "silence_duration_ms", 1, 60_000, defaults.silence_duration_ms)),
        threshold=_member(value, "threshold", 0.0, 1.0, defaults.threshold),
    )


def _member(value: dict[str, Any], key: str, minimum: float, maximum: float, default: float) -> float:
    name = f"chunking_strategy.{key}"
    given = value.get(key)
    if given is None:
        return default
    try:
        number = float(given)
    except (TypeError, ValueError):
        raise InvalidValue(f"Invalid type for '{name}': expected a number.", param=name) from None
    return in_range(name, number, minimum=minimum, maximum=maximum)
