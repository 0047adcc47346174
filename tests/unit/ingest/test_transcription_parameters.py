from __future__ import annotations

import pytest

from antiphon.errors import AntiphonError, InvalidValue, UnsupportedValue
from antiphon.models import Catalogue, PublicModel
from antiphon.schemas import Chunking
from services.ingest.parameters.fields import Fields
from services.ingest.parameters.transcription import TranscriptionRequest, read_transcription, read_translation

pytestmark = pytest.mark.unit

MODELS = {model.id: model for model in Catalogue.load().public()}


def read(*pairs: tuple[str, str], model: str = "whisper-1", strict: bool = False) -> TranscriptionRequest:
    return read_transcription(Fields(pairs), public(model), strict=strict)


def public(name: str) -> PublicModel:
    return MODELS[name]


def test_a_request_without_options_has_the_documented_defaults() -> None:
    wanted = read()
    assert wanted.format == "json"
    assert not wanted.stream
    assert wanted.options.temperature == 0.0
    assert wanted.options.language is None
    assert not wanted.options.words
    assert wanted.options.chunking is None


def test_empty_fields_count_as_absent() -> None:
    wanted = read(("language", ""), ("temperature", ""), ("response_format", ""), ("stream", ""))
    assert wanted == read()


@pytest.mark.parametrize(
    "pairs",
    [
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities", "word,segment")],
        [("timestamp_granularities", '["word", "segment"]')],
        [("timestamp_granularities[]", '["word", "segment"]')],
        [("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")],
    ],
)
def test_every_way_to_write_a_list_is_read(pairs: list[tuple[str, str]]) -> None:
    wanted = read(("response_format", "verbose_json"), *pairs)
    assert wanted.granularities == {"word", "segment"}
    assert wanted.options.words


@pytest.mark.parametrize(
    "pairs",
    [
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.7")],
        [("chunking_strategy", '{"type": "server_vad", "threshold": 0.7}')],
    ],
)
def test_every_way_to_write_an_object_is_read(pairs: list[tuple[str, str]]) -> None:
    assert read(*pairs).options.chunking == Chunking(type="server_vad", threshold=0.7)


@pytest.mark.parametrize("value", ["auto", '"auto"'])
def test_chunking_may_be_left_to_the_server(value: str) -> None:
    assert read(("chunking_strategy", value)).options.chunking == Chunking(type="auto")


def test_a_keyword_in_brackets_may_hold_a_comma() -> None:
    assert read(("keywords[]", "Paris, Texas")).options.keywords == ("Paris, Texas",)


def test_languages_are_mapped_to_their_codes() -> None:
    wanted = read(("language", "German"), ("languages[]", "en-GB"), ("languages[]", "eng"), ("languages[]", "fra"))
    assert wanted.options.language == "de"
    assert wanted.options.languages == ("en", "fr")


def test_whisper_ignores_stream_and_the_others_do_not() -> None:
    assert not read(("stream", "true")).stream
    assert read(("stream", "true"), model="gpt-4o-transcribe").stream
    assert not read(("stream", "null"), model="gpt-4o-transcribe").stream


@pytest.mark.parametrize(
    ("pairs", "param", "code"),
    [
        ([("response_format", "xml")], "response_format", "invalid_value"),
        ([("response_format", "diarized_json")], "response_format", "unsupported_value"),
        ([("temperature", "1.1")], "temperature", "invalid_value"),
        ([("temperature", "-0.1")], "temperature", "invalid_value"),
        ([("temperature", "nan")], "temperature", "invalid_value"),
        ([("temperature", "warm")], "temperature", "invalid_value"),
        ([("language", "klingon")], "language", "invalid_value"),
        ([("languages[]", "xx")], "languages", "invalid_value"),
        ([("stream", "perhaps")], "stream", "invalid_value"),
        ([("include[]", "secrets")], "include", "invalid_value"),
        ([("include[]", "logprobs"), ("response_format", "text")], "include", "unsupported_value"),
        ([("timestamp_granularities[]", "word")], "timestamp_granularities", "invalid_value"),
        (
            [("timestamp_granularities[]", "letter"), ("response_format", "verbose_json")],
            "timestamp_granularities",
            "invalid_value",
        ),
        ([("timestamp_granularities", "[1]")], "timestamp_granularities", "invalid_value"),
        ([("timestamp_granularities", "[oops")], "timestamp_granularities", "invalid_value"),
        ([("chunking_strategy", "manual")], "chunking_strategy", "invalid_value"),
        ([("chunking_strategy", "{")], "chunking_strategy", "invalid_value"),
        ([("chunking_strategy[threshold]", "0.5")], "chunking_strategy.type", "invalid_value"),
        ([("chunking_strategy[type]", "magic")], "chunking_strategy.type", "invalid_value"),
        (
            [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "2")],
            "chunking_strategy.threshold",
            "invalid_value",
        ),
        (
            [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[silence_duration_ms]", "x")],
            "chunking_strategy.silence_duration_ms",
            "invalid_value",
        ),
        ([("known_speaker_names[]", "ann")], "known_speaker_names", "unsupported_value"),
        ([("known_speaker_references[]", "data:")], "known_speaker_references", "unsupported_value"),
    ],
)
def test_a_wrong_parameter_is_named_in_the_error(pairs: list[tuple[str, str]], param: str, code: str) -> None:
    with pytest.raises(AntiphonError) as raised:
        read(*pairs)
    info = raised.value.info()
    assert (info.param, info.code, info.type, info.http_status) == (param, code, "invalid_request_error", 400)


def test_telling_speakers_apart_is_refused() -> None:
    with pytest.raises(UnsupportedValue):
        read(model="gpt-4o-transcribe-diarize")


def test_a_stream_carries_text_and_not_subtitles() -> None:
    with pytest.raises(UnsupportedValue):
        read(("stream", "true"), ("response_format", "srt"), model="gpt-4o-transcribe")


def test_strict_mode_holds_a_model_to_what_the_hosted_one_does() -> None:
    assert read(("response_format", "srt"), model="gpt-4o-transcribe").format == "srt"
    with pytest.raises(UnsupportedValue) as raised:
        read(("response_format", "verbose_json"), model="gpt-4o-transcribe", strict=True)
    assert raised.value.message == (
        "response_format 'verbose_json' is not compatible with model 'gpt-4o-transcribe'. Use 'json' or 'text' instead."
    )
    for pair in (("keywords[]", "x"), ("languages[]", "en"), ("include[]", "logprobs")):
        assert read(pair)
        with pytest.raises(UnsupportedValue):
            read(pair, strict=True)


def test_translations_have_fewer_formats_and_no_options_of_their_own() -> None:
    wanted = read_translation(
        Fields([("prompt", "P"), ("language", "de"), ("stream", "true")]), public("whisper-1"), strict=False
    )
    assert wanted.options.prompt == "P"
    assert wanted.options.language is None
    assert not wanted.stream
    with pytest.raises(InvalidValue):
        read_translation(Fields([("response_format", "diarized_json")]), public("whisper-1"), strict=False)
