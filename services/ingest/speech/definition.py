"""What a batch transcription is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from antiphon.errors import InvalidValue, ModelNotFound
from antiphon.given import missing
from antiphon.languages import language_code
from antiphon.models import Catalogue
from antiphon.schemas import RecognitionOptions, Schema
from services.ingest.errors_speech import InvalidLocale, InvalidModel, InvalidRecordingsUri, NotServed
from services.ingest.parameters.fields import Members, no_longer_than
from services.ingest.speech.times import TICKS_PER_S, read_duration

MAX_URLS = 1000
MAX_URL_CHARACTERS = 4096
MAX_NAME_CHARACTERS = 256
MAX_DESCRIPTION_CHARACTERS = 4096
MAX_CUSTOM_PROPERTIES = 10
MAX_CUSTOM_KEY_CHARACTERS = 64
MAX_CUSTOM_VALUE_CHARACTERS = 256
MIN_TTL_HOURS = 6
MAX_TTL_HOURS = 744

PunctuationMode = Literal["None", "Dictated", "Automatic", "DictatedAndAutomatic"]
ProfanityFilterMode = Literal["None", "Masked", "Removed", "Tags"]

PUNCTUATION_MODES: tuple[PunctuationMode, ...] = ("None", "Dictated", "Automatic", "DictatedAndAutomatic")
PROFANITY_MODES: tuple[ProfanityFilterMode, ...] = ("None", "Masked", "Removed", "Tags")
_LANGUAGE_MODES = ("Continuous", "Single")


class Definition(Schema):
    """A batch transcription, as it is kept with its batch. Webhooks show its `self`, `displayName` and `locale`."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    location: str = Field(default="", alias="self", description="URL of the transcription, as its owner sees it")
    display_name: str
    description: str | None = None
    locale: str
    model: str | None = Field(default=None, description="name of the model, when one was asked for")
    content_urls: tuple[str, ...]
    custom_properties: dict[str, str] = Field(default_factory=dict)
    time_to_live_s: int
    words: bool = False
    display_words: bool = False
    punctuation: bool = True
    candidate_locales: tuple[str, ...] = ()
    submitted: bool = Field(default=False, description="all of its jobs are on the bus; until then nobody sees it")
    ended_ms: int | None = Field(default=None, description="epoch milliseconds at which the last job ended")
    duration_ms: int | None = Field(default=None, description="of all recordings that were transcribed")
    error: dict[str, str] | None = Field(default=None, description="why nothing was transcribed")

    @property
    def options(self) -> RecognitionOptions:
        """How its recordings are to be recognised."""
        codes = (language_code(locale) for locale in self.candidate_locales)
        candidates = tuple(dict.fromkeys(code for code in codes if code))
        return RecognitionOptions(
            language=None if candidates else language_code(self.locale),
            languages=candidates,
            words=self.words or self.display_words,
            logprobs=self.words,
        )

    def locale_of(self, language: str) -> str:
        """Return the candidate that a detected language stands for; the language itself when it is none."""
        return next((each for each in self.candidate_locales if language_code(each) == language), language)


@dataclass(frozen=True)
class Changes:
    """What a PATCH sets; None where it leaves things as they are."""

    display_name: str | None
    description: str | None
    custom_properties: dict[str, str] | None

    def apply(self, definition: Definition) -> Definition:
        """Return the definition with the changes."""
        given = {
            "display_name": self.display_name,
            "description": self.description,
            "custom_properties": self.custom_properties,
        }
        return definition.model_copy(update={name: value for name, value in given.items() if value is not None})


def read_definition(
    values: Mapping[str, Any], *, catalogue: Catalogue, check_url: Callable[[str], object], legacy: bool
) -> Definition:
    """Check the body that creates a transcription. `legacy` is the older form, in which little is required.

    Raises `MissingParameter`, `InvalidValue`, `UnsupportedValue`.
    """
    members = Members(values)
    properties = _object(values, "properties", required=not legacy)
    _refuse_sources(values)
    _refuse_speakers(properties)
    if properties.get("destinationContainerUrl"):
        raise NotServed(
            "'destinationContainerUrl' is not served: results are kept here and fetched from the files of the "
            "transcription.",
            param="properties.destinationContainerUrl",
        )
    wanted = Members(properties)
    _check_channels(properties.get("channels"))
    wanted.choice("profanityFilterMode", PROFANITY_MODES, "Masked")
    return Definition(
        display_name=_name(members),
        description=_description(members),
        locale=read_locale(members.required("locale"), "locale"),
        model=read_model(values.get("model"), catalogue),
        content_urls=_urls(values, check_url),
        custom_properties=read_custom_properties(values.get("customProperties")),
        time_to_live_s=_legacy_ttl_s(wanted) if legacy else _ttl_s(properties),
        words=wanted.flag("wordLevelTimestampsEnabled"),
        display_words=wanted.flag("displayFormWordLevelTimestampsEnabled"),
        punctuation=wanted.choice("punctuationMode", PUNCTUATION_MODES, "DictatedAndAutomatic") != "None",
        candidate_locales=_candidates(properties),
    )


def read_changes(values: Mapping[str, Any]) -> Changes:
    """Check the body of a PATCH. Raises `InvalidValue`."""
    members = Members(values)
    custom = values.get("customProperties")
    return Changes(
        display_name=_name(members) if values.get("displayName") is not None else None,
        description="" if "description" in values and values["description"] is None else _description(members),
        custom_properties=read_custom_properties(custom) if "customProperties" in values else None,
    )


def read_custom_properties(value: object) -> dict[str, str]:
    """Check properties of the owner's own. Raises `InvalidValue`."""
    name = "customProperties"
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise InvalidValue(f"Invalid type for '{name}': expected an object of strings.", param=name)
    if len(value) > MAX_CUSTOM_PROPERTIES:
        raise InvalidValue(f"Invalid '{name}': at most {MAX_CUSTOM_PROPERTIES} entries are allowed.", param=name)
    for key, text in value.items():
        no_longer_than(f"{name} key", key, MAX_CUSTOM_KEY_CHARACTERS)
        no_longer_than(f"{name}.{key}", text, MAX_CUSTOM_VALUE_CHARACTERS)
    return value


def read_locale(spelling: str, name: str) -> str:
    """Return a locale whose language is known. Raises `InvalidLocale`."""
    if language_code(spelling) is None:
        raise InvalidLocale(f"The locale '{spelling[:64]}' is not supported.", param=name)
    return spelling


def read_model(value: object, catalogue: Catalogue) -> str | None:
    """Return the name of the model that a reference `{"self": URL}` means. Raises `InvalidModel`, `InvalidValue`."""
    if value is None:
        return None
    reference = value.get("self") if isinstance(value, dict) else None
    if not isinstance(reference, str):
        raise InvalidValue("Invalid type for 'model': expected an object with 'self'.", param="model")
    return model_at(reference, catalogue)


def model_at(url: str, catalogue: Catalogue) -> str:
    """Return the name of the base model at `url`. Raises `InvalidModel`."""
    try:
        name = unquote(urlsplit(url).path.rpartition("/models/base/")[2])
        catalogue.resolve(name, "transcribe")
    except (ValueError, ModelNotFound):
        raise InvalidModel(
            "The specified model is not supported: it must be one of those that /models/base lists.", param="model.self"
        ) from None
    return name


def _name(members: Members) -> str:
    name = members.required("displayName")
    if not name.strip():
        raise InvalidValue("Invalid 'displayName': empty string.", param="displayName")
    return no_longer_than("displayName", name, MAX_NAME_CHARACTERS)


def _description(members: Members) -> str | None:
    text = members.text("description")
    return None if text is None else no_longer_than("description", text, MAX_DESCRIPTION_CHARACTERS)


def _object(values: Mapping[str, Any], name: str, *, required: bool = False) -> dict[str, Any]:
    value = values.get(name)
    if value is None:
        if required:
            raise missing(name)
        return {}
    if not isinstance(value, dict):
        raise InvalidValue(f"Invalid type for '{name}': expected an object.", param=name)
    return value


def _refuse_sources(values: Mapping[str, Any]) -> None:
    for name in ("contentContainerUrl", "dataset"):
        if values.get(name) is not None:
            raise NotServed(f"'{name}' is not served. List the recordings in 'contentUrls'.", param=name)


def _refuse_speakers(properties: Mapping[str, Any]) -> None:
    speakers = _object(properties, "diarization")
    if properties.get("diarizationEnabled") is True or (speakers and speakers.get("enabled") is not False):
        raise NotServed("Telling speakers apart is not served.", param="properties.diarization")


def _urls(values: Mapping[str, Any], check_url: Callable[[str], object]) -> tuple[str, ...]:
    name = "contentUrls"
    urls = Members(values).items(name)
    if not urls:
        raise missing(name)
    if len(urls) > MAX_URLS:
        raise InvalidValue(f"Invalid '{name}': at most {MAX_URLS} URLs are allowed, not {len(urls)}.", param=name)
    for index, url in enumerate(urls):
        no_longer_than(f"{name}[{index}]", url, MAX_URL_CHARACTERS)
        try:
            check_url(url)
        except InvalidValue as error:
            raise InvalidRecordingsUri(f"Invalid '{name}[{index}]': {error.message}", param=name) from None
    return urls


def _ttl_s(properties: Mapping[str, Any]) -> int:
    name = "timeToLiveHours"
    hours = properties.get(name)
    if hours is None:
        raise missing(f"properties.{name}")
    if isinstance(hours, bool) or not isinstance(hours, int) or not MIN_TTL_HOURS <= hours <= MAX_TTL_HOURS:
        raise InvalidValue(
            f"Invalid value for '{name}': expected an integer between {MIN_TTL_HOURS} and {MAX_TTL_HOURS}.",
            param=f"properties.{name}",
        )
    return hours * 3600


def _legacy_ttl_s(properties: Members) -> int:
    name = "timeToLive"
    text = properties.text(name)
    ticks = MAX_TTL_HOURS * 3600 * TICKS_PER_S if text is None else read_duration(text)
    seconds = MAX_TTL_HOURS * 3600 if ticks == 0 else (ticks or 0) // TICKS_PER_S
    if not 1 <= seconds // 3600 <= MAX_TTL_HOURS or seconds > MAX_TTL_HOURS * 3600:
        raise InvalidValue(
            f"Invalid value for '{name}': expected an ISO 8601 duration between PT1H and P31D.",
            param=f"properties.{name}",
        )
    return seconds


def _check_channels(value: object) -> None:
    name = "properties.channels"
    if value is None:
        return
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise InvalidValue(f"Invalid type for '{name}': expected an array of integers.", param=name)
    if sorted(value) not in ([0], [0, 1]):
        raise NotServed(
            f"Invalid value for '{name}': channels are mixed into one, so only [0] and [0, 1] are served.",
            param=name,
        )


def _candidates(properties: Mapping[str, Any]) -> tuple[str, ...]:
    name = "properties.languageIdentification"
    wanted = _object(properties, "languageIdentification")
    if not wanted:
        return ()
    Members(wanted).choice("mode", _LANGUAGE_MODES, "Continuous")
    if wanted.get("speechModelMapping"):
        raise NotServed("A model for each locale is not served.", param=f"{name}.speechModelMapping")
    locales = Members(wanted).items("candidateLocales")
    if not 2 <= len(locales) <= 10:
        raise InvalidValue(
            f"Invalid '{name}.candidateLocales': expected between 2 and 10 locales.", param=f"{name}.candidateLocales"
        )
    return tuple(read_locale(locale, f"{name}.candidateLocales") for locale in locales)
