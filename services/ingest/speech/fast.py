"""Fast transcription: what it is asked for, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from antiphon.errors import InvalidValue
from antiphon.languages import language_code
from antiphon.models import Catalogue
from antiphon.schemas import RecognitionOptions, Transcript
from services.ingest.errors_speech import InvalidRecordingsUri, NotServed
from services.ingest.parameters.fields import Members
from services.ingest.speech.definition import MAX_URL_CHARACTERS, PROFANITY_MODES, model_at, read_locale
from services.ingest.speech.phrases import Phrase, SpokenWord, phrases_of
from services.ingest.speech.times import milliseconds_of, ticks_of

MAX_PHRASES = 500
MAX_PHRASE_CHARACTERS = 256
MAX_LOCALES = 10


@dataclass(frozen=True)
class FastRequest:
    """What a caller wants from one recording. `channel` is shown when one was asked for."""

    locales: tuple[str, ...]
    keywords: tuple[str, ...]
    model: str | None
    audio_url: str | None
    channel: int | None

    @property
    def options(self) -> RecognitionOptions:
        """How the recording is to be recognised."""
        codes = tuple(dict.fromkeys(code for locale in self.locales if (code := language_code(locale))))
        return RecognitionOptions(
            language=codes[0] if len(codes) == 1 else None,
            languages=codes if len(codes) > 1 else (),
            keywords=self.keywords,
            words=True,
        )


def read_fast_request(text: str | None, *, catalogue: Catalogue, check_url: Callable[[str], object]) -> FastRequest:
    """Check the part `definition`; absent, nothing is wanted in particular.

    Raises `InvalidValue`, `UnsupportedValue`.
    """
    values = _parsed(text)
    members = Members(values)
    _refuse(values)
    members.choice("profanityFilterMode", PROFANITY_MODES, "Masked")
    locales = members.items("locales")
    if len(locales) > MAX_LOCALES:
        raise InvalidValue(f"Invalid 'locales': at most {MAX_LOCALES} are allowed.", param="locales")
    url = members.text("audioUrl") or None
    if url is not None:
        _check(url, check_url)
    return FastRequest(
        locales=tuple(read_locale(locale, "locales") for locale in locales),
        keywords=_phrases(values.get("phraseList")),
        model=_model(values.get("models"), catalogue),
        audio_url=url,
        channel=0 if values.get("channels") else None,
    )


def fast_document(transcript: Transcript, wanted: FastRequest) -> dict[str, Any]:
    """Return the answer."""
    phrases = phrases_of(transcript)
    locale = _locale_of(transcript.language, wanted.locales)
    channel = {} if wanted.channel is None else {"channel": wanted.channel}
    return {
        "durationMilliseconds": milliseconds_of(ticks_of(transcript.duration)),
        "combinedPhrases": [{**channel, "text": " ".join(phrase.text for phrase in phrases)}],
        "phrases": [{**channel, **_phrase_object(phrase, locale)} for phrase in phrases],
    }


def _parsed(text: str | None) -> dict[str, Any]:
    try:
        values = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        raise InvalidValue("Invalid 'definition': it is not valid JSON.", param="definition") from None
    if not isinstance(values, dict):
        raise InvalidValue("Invalid 'definition': expected an object.", param="definition")
    return values


def _refuse(values: Mapping[str, Any]) -> None:
    speakers = values.get("diarization")
    if speakers and not (isinstance(speakers, dict) and speakers.get("enabled") is False):
        raise NotServed("Telling speakers apart is not served.", param="diarization")
    enhanced = values.get("enhancedMode")
    if enhanced and not (isinstance(enhanced, dict) and enhanced.get("enabled") is False):
        raise NotServed("Enhanced mode is not served.", param="enhancedMode")
    if values.get("channels") not in (None, [], [0]):
        raise NotServed(
            "Channels are mixed and transcribed as one: leave 'channels' out, or send [0].", param="channels"
        )


def _check(url: str, check_url: Callable[[str], object]) -> None:
    try:
        if len(url) > MAX_URL_CHARACTERS:
            raise InvalidValue(f"The URL is longer than {MAX_URL_CHARACTERS} characters.")
        check_url(url)
    except InvalidValue as error:
        raise InvalidRecordingsUri(f"Invalid 'audioUrl': {error.message}", param="audioUrl") from None


def _phrases(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise InvalidValue("Invalid type for 'phraseList': expected an object.", param="phraseList")
    members = Members(value)
    members.number("biasingWeight", minimum=0.0, maximum=2.0)
    phrases = members.items("phrases")
    if len(phrases) > MAX_PHRASES or any(len(phrase) > MAX_PHRASE_CHARACTERS for phrase in phrases):
        raise InvalidValue(
            f"Invalid 'phraseList.phrases': at most {MAX_PHRASES} phrases of {MAX_PHRASE_CHARACTERS} characters are "
            "allowed.",
            param="phraseList.phrases",
        )
    return phrases


def _model(value: object, catalogue: Catalogue) -> str | None:
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or not all(isinstance(url, str) for url in value.values()):
        raise InvalidValue("Invalid type for 'models': expected an object of URLs by locale.", param="models")
    names = {model_at(url, catalogue) for url in value.values()}
    if len(names) > 1:
        raise NotServed("A model for each locale is not served: name the same one for all.", param="models")
    return names.pop()


def _locale_of(language: str, locales: Sequence[str]) -> str:
    return next((locale for locale in locales if language_code(locale) == language), language)


def _phrase_object(phrase: Phrase, locale: str) -> dict[str, Any]:
    return {
        **_span(phrase.start_s, phrase.end_s),
        "text": phrase.text,
        "words": [_word_object(word) for word in phrase.words],
        "locale": locale,
        "confidence": phrase.confidence,
    }


def _word_object(word: SpokenWord) -> dict[str, Any]:
    return {"text": word.written, **_span(word.start_s, word.end_s)}


def _span(start_s: float, end_s: float) -> dict[str, int]:
    offset = milliseconds_of(ticks_of(start_s))
    return {
        "offsetMilliseconds": offset,
        "durationMilliseconds": max(0, milliseconds_of(ticks_of(end_s)) - offset),
    }
