from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import AntiphonError
from antiphon.models import Catalogue
from services.ingest.parameters.fields import Fields, Members
from services.ingest.parameters.speech import SpeechRequest, read_speech

pytestmark = pytest.mark.unit

MODELS = {model.id: model for model in Catalogue.load().public()}


def read(model: str = "gpt-4o-mini-tts", **values: Any) -> SpeechRequest:
    return read_speech(Members({"input": "Hello.", "voice": "alloy", **values}), MODELS[model])


def test_a_request_without_options_has_the_documented_defaults() -> None:
    assert read() == SpeechRequest(
        text="Hello.", voice="alloy", instructions=None, format="mp3", speed=1.0, stream_format="audio"
    )


def test_a_voice_may_be_an_object_and_null_means_default() -> None:
    wanted = read(voice={"id": "voice_1"}, speed=None, response_format=None, stream_format=None, instructions=None)
    assert wanted.voice == "voice_1"
    assert wanted.speed == 1.0


@pytest.mark.parametrize("speed", [0.25, 1, 4.0])
def test_the_range_of_speed_includes_its_ends(speed: float) -> None:
    assert read(speed=speed).speed == speed


def test_the_longest_input_is_counted_in_characters() -> None:
    assert len(read(input="é" * 4096).text) == 4096


@pytest.mark.parametrize(
    ("values", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": " \n"}, "input", "invalid_value"),
        ({"input": "x" * 4097}, "input", "invalid_value"),
        ({"input": 5}, "input", "invalid_value"),
        ({"input": ["x"]}, "input", "invalid_value"),
        ({"voice": None}, "voice", "missing_required_parameter"),
        ({"voice": ""}, "voice", "missing_required_parameter"),
        ({"voice": {}}, "voice", "missing_required_parameter"),
        ({"voice": 7}, "voice", "invalid_value"),
        ({"voice": "x" * 200}, "voice", "invalid_value"),
        ({"speed": 9}, "speed", "invalid_value"),
        ({"speed": 0.2}, "speed", "invalid_value"),
        ({"speed": "fast"}, "speed", "invalid_value"),
        ({"speed": True}, "speed", "invalid_value"),
        ({"response_format": "midi"}, "response_format", "invalid_value"),
        ({"response_format": 3}, "response_format", "invalid_value"),
        ({"stream_format": "ws"}, "stream_format", "invalid_value"),
        ({"instructions": "x" * 4097}, "instructions", "invalid_value"),
        ({"model": "tts-1", "stream_format": "sse"}, "stream_format", "unsupported_value"),
        ({"model": "tts-1-hd", "stream_format": "sse"}, "stream_format", "unsupported_value"),
    ],
)
def test_a_wrong_parameter_is_named_in_the_error(values: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(AntiphonError) as raised:
        read(**values)
    info = raised.value.info()
    assert (info.param, info.code, info.http_status) == (param, code, 400)


def test_a_form_says_the_same_as_json() -> None:
    form = Fields([("input", "Hello."), ("voice[id]", "alloy"), ("speed", "1.5"), ("response_format", "wav")])
    wanted = read_speech(form, MODELS["tts-1"])
    assert (wanted.voice, wanted.speed, wanted.format) == ("alloy", 1.5, "wav")
