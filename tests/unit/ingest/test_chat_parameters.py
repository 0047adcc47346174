from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import AntiphonError
from antiphon.models import PublicModel
from antiphon.schemas import ReplyFormat, ReplyOptions, TextPart, Tool, ToolChoice
from services.ingest.chat.request import ChatRequest, SaidMessage, SpokenAnswer
from services.ingest.parameters.chat import read_chat

pytestmark = pytest.mark.unit


def model(name: str) -> PublicModel:
    return PublicModel(
        id=name,
        created=0,
        owned_by="system",
        kinds=("respond",),
        model="some",
        streams=True,
        formats=(),
        shutdown_date=None,
        usage="tokens",
        base=name,
    )


HELLO = {"role": "user", "content": "Hello."}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
TIME = {"type": "function", "function": {"name": "get_time"}}
FORECAST: dict[str, Any] = {"name": "forecast", "schema": {"type": "object"}}


def read(name: str = "gpt-audio", *, strict: bool = False, **values: Any) -> ChatRequest:
    return read_chat({"model": name, "messages": [HELLO], **values}, model(name), strict=strict)


def refusal(**values: Any) -> AntiphonError:
    with pytest.raises(AntiphonError) as refused:
        read(**values)
    assert refused.value.http_status == 400
    return refused.value


def test_a_request_without_options_has_the_documented_defaults() -> None:
    message = SaidMessage(role="user", param="messages[0]", parts=(TextPart(text="Hello."),))
    assert read() == ChatRequest(messages=(message,))


def test_null_means_the_default() -> None:
    names = (
        "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens metadata "
        "modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options "
        "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream "
        "stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options"
    )
    assert read(strict=True, name="gpt-4o", **dict.fromkeys(names.split())) == read()


def test_what_says_how_to_write_is_passed_on() -> None:
    request = read(
        max_completion_tokens=50,
        temperature=1,
        top_p=0.5,
        seed=-(2**63),
        stop=["a", "", "b"],
        presence_penalty=-2,
        frequency_penalty=2.0,
        logprobs=True,
        top_logprobs=20,
        tools=[WEATHER],
        parallel_tool_calls=False,
    )
    assert request.options == ReplyOptions(
        max_tokens=50,
        temperature=1.0,
        top_p=0.5,
        seed=-(2**63),
        stop=("a", "b"),
        presence_penalty=-2.0,
        frequency_penalty=2.0,
        logprobs=True,
        top_logprobs=20,
        parallel_tool_calls=False,
    )
    assert read(max_tokens=7.0, stop="x").options == ReplyOptions(max_tokens=7, stop=("x",))


def test_an_answer_is_spoken_when_audio_is_asked_for() -> None:
    audio = {"voice": {"id": "voice_1"}, "format": "mp3"}
    assert read(modalities=["text", "audio"], audio=audio).spoken == SpokenAnswer(voice="voice_1", format="mp3")
    assert read(modalities=["text"], audio=audio).spoken is None
    assert read(audio={"voice": "alloy", "format": "wav"}).spoken is None


def test_a_streamed_answer_is_spoken_in_pcm_alone() -> None:
    wanted: dict[str, Any] = {"modalities": ["audio", "text"], "stream": True}
    request = read(**wanted, audio={"voice": "alloy", "format": "pcm16"})
    assert request.spoken == SpokenAnswer(voice="alloy", format="pcm16")
    error = refusal(**wanted, audio={"voice": "alloy", "format": "wav"})
    assert error.info().param == "audio.format"
    assert error.code == "unsupported_value"
    assert error.message == (
        "Unsupported value: 'audio.format' does not support 'wav' when stream=true. Supported values are: 'pcm16'."
    )


def test_a_stream_is_told_its_usage_and_padded_only_when_asked() -> None:
    request = read(stream=True, stream_options={"include_usage": True, "include_obfuscation": True})
    assert request.stream and request.include_usage and request.obfuscated
    plain = read(stream=True, stream_options={})
    assert not plain.include_usage and not plain.obfuscated


def test_the_body_is_kept_only_for_an_answer_that_is_stored() -> None:
    request = read(store=True, metadata={"topic": "weather"})
    assert request.store
    assert request.metadata == {"topic": "weather"}
    assert request.body["messages"] == [HELLO]
    assert read(metadata={"topic": "weather"}).body == {}


def test_tools_are_functions_with_a_schema() -> None:
    function = {"name": "f", "description": "Does.", "parameters": {"type": "object", "x": [1]}, "strict": True}
    request = read(tools=[{"type": "function", "function": function}, TIME])
    assert request.tools == (
        Tool(name="f", description="Does.", parameters={"type": "object", "x": [1]}, strict=True),
        Tool(name="get_time"),
    )
    assert read(tools=[]).tools == ()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ("none", ToolChoice(mode="none")),
        ("auto", ToolChoice(mode="auto")),
        ("required", ToolChoice(mode="required")),
        (
            {"type": "function", "function": {"name": "get_time"}},
            ToolChoice(mode="required", names=("get_time",)),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME, WEATHER, TIME]}},
            ToolChoice(mode="auto", names=("get_time", "get_weather")),
        ),
    ],
)
def test_a_choice_of_tools_is_a_mode_and_names(choice: Any, expected: ToolChoice) -> None:
    assert read(tools=[WEATHER, TIME], tool_choice=choice).options.tool_choice == expected


def test_the_form_of_the_text_is_passed_on() -> None:
    assert read(response_format={"type": "text"}).options.format == ReplyFormat()
    assert read(response_format={"type": "json_object"}).options.format == ReplyFormat(type="json_object")
    wanted = {"type": "json_schema", "json_schema": {**FORECAST, "description": "Of tomorrow.", "strict": True}}
    assert read(response_format=wanted).options.format == ReplyFormat(
        type="json_schema",
        name="forecast",
        json_schema={"description": "Of tomorrow.", "type": "object"},
        strict=True,
    )


def test_what_would_change_nothing_here_is_ignored() -> None:
    ignored: dict[str, Any] = {
        "user": "u1",
        "safety_identifier": "s1",
        "service_tier": "flex",
        "prediction": {"type": "content", "content": "Hello."},
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "implicit"},
        "prompt_cache_retention": "24h",
        "reasoning_effort": "low",
        "verbosity": "high",
        "logit_bias": {},
        "n": 1,
    }
    assert read(**ignored) == read()
    assert read(name="gpt-4o", strict=True, **ignored) == read()
    assert read(top_k=40, chat_template_kwargs={"x": 1}) == read()


MISSING = "missing_required_parameter"
INVALID = "invalid_value"
WRONG_TYPE = "invalid_type"
UNSUPPORTED = "unsupported_value"


@pytest.mark.parametrize(
    ("values", "param", "code", "message"),
    [
        ({"stream": "yes"}, "stream", WRONG_TYPE, "expected a boolean, but got a string instead."),
        (
            {"stream_options": {}},
            "stream_options",
            INVALID,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ),
        ({"stream": True, "stream_options": 1}, "stream_options", WRONG_TYPE, "expected an object, but got an integer"),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            WRONG_TYPE,
            "expected a boolean",
        ),
        ({"n": 2}, "n", UNSUPPORTED, "Unsupported value: 'n' does not support 2 with model 'gpt-audio'."),
        ({"n": 0}, "n", INVALID, "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."),
        ({"n": 1.5}, "n", WRONG_TYPE, "expected an integer, but got a decimal number instead."),
        (
            {"temperature": 3},
            "temperature",
            INVALID,
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
        ),
        ({"temperature": True}, "temperature", WRONG_TYPE, "expected a decimal number, but got a boolean instead."),
        ({"temperature": float("nan")}, "temperature", INVALID, "but got nan instead"),
        ({"top_p": -0.1}, "top_p", INVALID, "Expected a value >= 0, but got -0.1 instead."),
        ({"presence_penalty": 2.1}, "presence_penalty", INVALID, "<= 2"),
        ({"frequency_penalty": [1]}, "frequency_penalty", WRONG_TYPE, "but got an array instead."),
        ({"seed": 2**63}, "seed", INVALID, "integer above maximum value"),
        ({"seed": 10**5000}, "seed", INVALID, "an integer of 16610 bits"),
        ({"seed": "1"}, "seed", WRONG_TYPE, "expected an integer, but got a string instead."),
        ({"max_tokens": 0}, "max_tokens", INVALID, "integer below minimum value"),
        ({"max_completion_tokens": 2**31}, "max_completion_tokens", INVALID, "integer above maximum value"),
        (
            {"max_tokens": 5, "max_completion_tokens": 5},
            "max_tokens",
            INVALID,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        ),
        (
            {"stop": list("abcde")},
            "stop",
            INVALID,
            "Invalid 'stop': array too long. Expected an array with maximum length 4, "
            "but got an array with length 5 instead.",
        ),
        ({"stop": [1]}, "stop[0]", WRONG_TYPE, "expected a string, but got an integer instead."),
        ({"stop": {}}, "stop", WRONG_TYPE, "expected one of a string or array of strings, but got an object instead."),
        ({"stop": "x" * 2000}, "stop", INVALID, "string too long"),
        ({"top_logprobs": 2}, "top_logprobs", INVALID, "only allowed when 'logprobs' is enabled"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", INVALID, "<= 20, but got 21"),
        ({"modalities": "audio"}, "modalities", WRONG_TYPE, "expected an array of strings, but got a string instead."),
        ({"modalities": []}, "modalities", INVALID, "empty array"),
        (
            {"modalities": ["audio"], "audio": {"voice": "alloy", "format": "wav"}},
            "modalities",
            INVALID,
            "Invalid modalities: ['audio']. Supported combinations are: ['text'] and ['text', 'audio'].",
        ),
        (
            {"modalities": ["text", "video"]},
            "modalities[1]",
            INVALID,
            "Invalid value: 'video'. Supported values are: 'text' and 'audio'.",
        ),
        ({"modalities": ["text", "audio"]}, "audio", MISSING, "Missing required parameter: 'audio'."),
        ({"audio": {"format": "wav"}}, "audio.voice", MISSING, "Missing required parameter: 'audio.voice'."),
        ({"audio": {"voice": {}, "format": "wav"}}, "audio.voice.id", MISSING, "'audio.voice.id'"),
        ({"audio": {"voice": 1, "format": "wav"}}, "audio.voice", WRONG_TYPE, "one of a string or object"),
        ({"audio": {"voice": "", "format": "wav"}}, "audio.voice", INVALID, "empty string"),
        ({"audio": {"voice": "alloy"}}, "audio.format", MISSING, "Missing required parameter: 'audio.format'."),
        (
            {"audio": {"voice": "alloy", "format": "ogg"}},
            "audio.format",
            INVALID,
            "Invalid value: 'ogg'. Supported values are: 'wav', 'aac', 'mp3', 'flac', 'opus', and 'pcm16'.",
        ),
        ({"store": 1}, "store", WRONG_TYPE, "expected a boolean"),
        ({"metadata": []}, "metadata", WRONG_TYPE, "expected an object, but got an array instead."),
        ({"metadata": {"a": 1}}, "metadata.a", WRONG_TYPE, "expected a string, but got an integer instead."),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", INVALID, "maximum length 512"),
        ({"metadata": {"a" * 65: "x"}}, "metadata", INVALID, "maximum length 64"),
        ({"metadata": {str(key): "" for key in range(17)}}, "metadata", INVALID, "too many properties"),
        ({"functions": [{"name": "f"}]}, "functions", UNSUPPORTED, "Use 'tools' instead."),
        ({"function_call": "auto"}, "function_call", UNSUPPORTED, "Use 'tool_choice' instead."),
        ({"web_search_options": {}}, "web_search_options", UNSUPPORTED, "Unsupported parameter: 'web_search_options'"),
        ({"moderation": {"model": "m"}}, "moderation", UNSUPPORTED, "'moderation' is not supported"),
        ({"data_sources": [{}]}, "data_sources", UNSUPPORTED, "'data_sources' is not supported"),
        ({"logit_bias": {"50256": -100}}, "logit_bias", UNSUPPORTED, "'logit_bias' is not supported"),
        ({"logit_bias": 1}, "logit_bias", WRONG_TYPE, "expected an object"),
        ({"service_tier": "gold"}, "service_tier", INVALID, "Invalid value: 'gold'."),
        ({"reasoning_effort": "huge"}, "reasoning_effort", INVALID, "Invalid value: 'huge'."),
        ({"verbosity": 1}, "verbosity", WRONG_TYPE, "expected a string"),
        ({"user": 5}, "user", WRONG_TYPE, "expected a string"),
        ({"prediction": {}}, "prediction.type", MISSING, "'prediction.type'"),
        ({"tools": {}}, "tools", WRONG_TYPE, "expected an array of objects, but got an object instead."),
        ({"tools": ["f"]}, "tools[0]", WRONG_TYPE, "expected an object, but got a string instead."),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type", MISSING, "'tools[0].type'"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", MISSING, "'tools[0].function'"),
        (
            {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
            "tools[0].type",
            UNSUPPORTED,
            "Unsupported value: 'tools[0].type' does not support 'custom'. Supported values are: 'function'.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "get weather"}}]},
            "tools[0].function.name",
            INVALID,
            "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
        ),
        ({"tools": [{"type": "function", "function": {"name": "f\n"}}]}, "tools[0].function.name", INVALID, "pattern"),
        ({"tools": [{"type": "function", "function": {"name": "f" * 65}}]}, "tools[0].function.name", INVALID, "64"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name", INVALID, "empty"),
        ({"tools": [TIME, WEATHER, TIME]}, "tools[2].function.name", INVALID, "another tool with the name 'get_time'"),
        ({"tools": [TIME] * 129}, "tools", INVALID, "maximum length 128"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
            "tools[0].function.parameters",
            INVALID,
            "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', "
            "got 'type: \"array\"'.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": "{}"}}]},
            "tools[0].function.parameters",
            WRONG_TYPE,
            "expected an object, but got a string instead.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": "x" * 1_100_000}}]},
            "tools",
            INVALID,
            "too much text",
        ),
        (
            {"tool_choice": "auto"},
            "tool_choice",
            INVALID,
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
        ),
        ({"tools": [TIME], "tool_choice": "any"}, "tool_choice", INVALID, "'none', 'auto', and 'required'."),
        ({"tools": [TIME], "tool_choice": 1}, "tool_choice", WRONG_TYPE, "expected one of a string or object"),
        ({"tools": [TIME], "tool_choice": {}}, "tool_choice.type", MISSING, "'tool_choice.type'"),
        ({"tools": [TIME], "tool_choice": {"type": "custom"}}, "tool_choice.type", UNSUPPORTED, "'custom'"),
        (
            {"tools": [TIME], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
            INVALID,
            "Invalid value for 'tool_choice': no function named 'f' was specified in the 'tools' parameter.",
        ),
        (
            {"tools": [TIME], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}},
            "tool_choice.allowed_tools.tools",
            MISSING,
            "",
        ),
        (
            {"tools": [TIME], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            "tool_choice.allowed_tools.tools",
            INVALID,
            "empty array",
        ),
        ({"response_format": "json"}, "response_format", WRONG_TYPE, "expected an object"),
        ({"response_format": {"type": "xml"}}, "response_format.type", INVALID, "Invalid value: 'xml'."),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", MISSING, ""),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "f"}}},
            "response_format.json_schema.schema",
            MISSING,
            "",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
            "response_format.json_schema.name",
            INVALID,
            "pattern",
        ),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], param: str, code: str, message: str) -> None:
    error = refusal(**values)
    assert (error.param, error.code) == (param, code)
    assert message in error.message


@pytest.mark.parametrize(("depth", "accepted"), [(49, True), (120, False), (1000, False)])
def test_a_schema_that_is_nested_too_deeply_is_refused(depth: int, accepted: bool) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"properties": {"x": schema}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    if accepted:
        assert read(tools=tools).tools[0].parameters == schema
    else:
        error = refusal(tools=tools)
        assert error.param == "tools[0].function.parameters"
        assert "nested too deeply" in error.message


def test_a_body_that_cannot_be_written_again_is_not_stored() -> None:
    body: Any = 1
    for _ in range(1000):
        body = [body]
    assert read(extra=body) == read()
    assert refusal(extra=body, store=True).param == "store"


def test_a_schema_that_is_too_large_is_refused() -> None:
    schema = {"type": "object", "x": ["x"] * 100_000}
    error = refusal(tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])
    assert "object too large" in error.message


SPEAKING: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


def test_strictly_an_audio_model_hears_or_speaks() -> None:
    error = refusal(strict=True)
    assert error.message == "This model requires that either input content or output modality contain audio."
    assert (error.param, error.code) == ("model", "invalid_value")
    assert read(strict=True, **SPEAKING).spoken
    heard = [{"role": "assistant", "audio": {"id": "audio_1"}}, HELLO]
    assert read(strict=True, messages=heard).messages[0].audio_id == "audio_1"
    assert read(strict=True, name="gpt-4o").spoken is None


@pytest.mark.parametrize(
    ("values", "param", "code"),
    [
        ({"top_k": 40}, "top_k", "unknown_parameter"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", INVALID),
        ({"tools": []}, "tools", INVALID),
        ({"response_format": {"type": "json_schema", "json_schema": FORECAST}}, "response_format", UNSUPPORTED),
        ({"reasoning_effort": "low"}, "reasoning_effort", UNSUPPORTED),
        ({"verbosity": "low"}, "verbosity", UNSUPPORTED),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.y/z"}}]}]},
            "messages[0].content",
            UNSUPPORTED,
        ),
    ],
)
def test_strictly_an_audio_model_refuses_what_the_hosted_one_refuses(
    values: dict[str, Any], param: str, code: str
) -> None:
    error = refusal(strict=True, **SPEAKING, **values)
    assert (error.param, error.code) == (param, code)
    assert read(**SPEAKING, **values)


def test_an_unknown_argument_is_named_in_the_words_of_the_api() -> None:
    assert refusal(strict=True, top_k=1).message == "Unrecognized request argument supplied: top_k"
    assert "?" in (refusal(strict=True, **{"\ud800": 1}).param or "")
