from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import InvalidValue, MissingParameter
from antiphon.models import Catalogue
from services.ingest.errors_speech import InvalidLocale, InvalidModel, InvalidRecordingsUri, NotServed
from services.ingest.speech.definition import Definition, read_changes, read_definition

pytestmark = pytest.mark.unit

CATALOGUE = Catalogue.load()


def check_url(url: str) -> None:
    if not url.startswith("https://"):
        raise InvalidValue("The URL must begin with https://.")


def body(wanted: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "displayName": "Calls",
        "locale": "en-US",
        "contentUrls": ["https://example.com/a.wav", "https://example.com/b.wav?sig=x%2F"],
        "properties": {"timeToLiveHours": 48} | (wanted or {}),
    } | changes
    return {name: value for name, value in values.items() if value is not None}


def read(wanted: dict[str, Any] | None = None, *, legacy: Any = False, **changes: Any) -> Definition:
    return read_definition(body(wanted, **changes), catalogue=CATALOGUE, check_url=check_url, legacy=legacy)


def test_what_is_required_is_enough() -> None:
    definition = read()
    assert definition.content_urls[1] == "https://example.com/b.wav?sig=x%2F"
    assert definition.time_to_live_s == 48 * 3600
    assert definition.options.language == "en"
    assert not definition.options.words
    assert definition.model is None
    assert not definition.submitted


def test_a_definition_survives_being_kept() -> None:
    definition = read({"punctuationMode": "None"}, customProperties={"k": "v"})
    kept = definition.model_dump(mode="json", by_alias=True)
    assert {"self", "displayName", "locale"} <= kept.keys()
    assert Definition.model_validate(kept) == definition


@pytest.mark.parametrize("name", ["displayName", "locale", "contentUrls", "properties"])
def test_what_is_required_is_asked_for(name: str) -> None:
    with pytest.raises(MissingParameter, match=name):
        read(None, **{name: None})


def test_the_time_to_live_is_required_and_bounded() -> None:
    with pytest.raises(MissingParameter, match="timeToLiveHours"):
        read({"timeToLiveHours": None})
    for hours in (5, 745, "48", 48.5, True, -1):
        with pytest.raises(InvalidValue):
            read({"timeToLiveHours": hours})
    assert read({"timeToLiveHours": 744}).time_to_live_s == 744 * 3600


def test_the_older_form_requires_little() -> None:
    definition = read(legacy=True, properties=None)
    assert definition.time_to_live_s == 744 * 3600
    assert read({"timeToLive": "PT12H"}, legacy=True).time_to_live_s == 12 * 3600
    for text in ("PT1S", "P32D", "soon"):
        with pytest.raises(InvalidValue):
            read({"timeToLive": text}, legacy=True)


@pytest.mark.parametrize(
    ("properties", "changes"),
    [
        ({}, {"contentContainerUrl": "https://example.com/c"}),
        ({}, {"dataset": {"self": "https://example.com/d"}}),
        ({"destinationContainerUrl": "https://example.com/c"}, {}),
        ({"diarization": {"enabled": True, "maxSpeakers": 2}}, {}),
        ({"diarization": {"maxSpeakers": 2}}, {}),
        ({"diarizationEnabled": True}, {}),
        ({"channels": [1]}, {}),
        ({"channels": [0, 1, 2]}, {}),
        ({"languageIdentification": {"candidateLocales": ["en-US", "de-DE"], "speechModelMapping": {"en-US": {}}}}, {}),
    ],
)
def test_what_is_not_served_is_refused(properties: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(NotServed):
        read(properties, **changes)


def test_what_changes_nothing_is_accepted() -> None:
    read({"diarization": {"enabled": False}, "diarizationEnabled": False, "channels": [0, 1]})
    read({"channels": [0], "profanityFilterMode": "Tags", "punctuationMode": "Dictated", "novelty": 1})


@pytest.mark.parametrize(
    "properties",
    [
        {"channels": "0"},
        {"channels": [True]},
        {"punctuationMode": "Loud"},
        {"profanityFilterMode": "masked"},
        {"wordLevelTimestampsEnabled": "yes"},
        {"languageIdentification": {"candidateLocales": ["en-US"]}},
        {"languageIdentification": {"candidateLocales": ["en-US", "xx-XX"]}},
        {"languageIdentification": {"candidateLocales": ["en-US", "de-DE"], "mode": "Twice"}},
        {"languageIdentification": ["en-US", "de-DE"]},
        {"diarization": "yes"},
    ],
)
def test_a_wrong_property_is_refused(properties: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        read(properties)


@pytest.mark.parametrize(
    "changes",
    [
        {"displayName": " "},
        {"displayName": "x" * 257},
        {"displayName": 1},
        {"description": ["x"]},
        {"customProperties": {str(i): "" for i in range(11)}},
        {"customProperties": {"k" * 65: ""}},
        {"customProperties": {"k": "v" * 257}},
        {"customProperties": {"k": 1}},
        {"contentUrls": ["https://example.com"] * 1001},
        {"contentUrls": "https://example.com"},
        {"contentUrls": [1]},
        {"properties": []},
        {"model": "whisper-1"},
        {"model": {}},
    ],
)
def test_a_wrong_member_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        read(**changes)


def test_an_address_that_is_not_fetched_is_named() -> None:
    with pytest.raises(InvalidRecordingsUri, match=r"contentUrls\[1\]"):
        read(contentUrls=["https://example.com/a", "ftp://example.com/b"])


def test_an_unknown_locale_is_refused() -> None:
    with pytest.raises(InvalidLocale):
        read(locale="tlh-AA")


def test_candidates_become_languages_and_back() -> None:
    definition = read({"languageIdentification": {"candidateLocales": ["en-GB", "en-US", "de-DE"]}})
    assert definition.options.language is None
    assert definition.options.languages == ("en", "de")
    assert (definition.locale_of("de"), definition.locale_of("en"), definition.locale_of("fr")) == (
        "de-DE",
        "en-GB",
        "fr",
    )


def test_a_model_is_one_of_the_base_models() -> None:
    url = "https://h/speechtotext/models/base/gpt-4o-transcribe?api-version=2024-11-15"
    assert read(model={"self": url}).model == "gpt-4o-transcribe"
    for wrong in ("https://h/speechtotext/models/base/nobody", "https://h/whisper-1", "https://[", "", "tts-1"):
        with pytest.raises(InvalidModel):
            read(model={"self": wrong})


def test_a_change_leaves_the_rest() -> None:
    definition = read(customProperties={"k": "v"}, description="Old")
    renamed = read_changes({"displayName": "New"}).apply(definition)
    assert (renamed.display_name, renamed.description, renamed.custom_properties) == ("New", "Old", {"k": "v"})
    cleared = read_changes({"description": None, "customProperties": None}).apply(definition)
    assert (cleared.display_name, cleared.description, cleared.custom_properties) == ("Calls", "", {})
    with pytest.raises(InvalidValue):
        read_changes({"displayName": ""})
