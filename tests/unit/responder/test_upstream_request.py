"""A prompt as the body of a request."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter, ValidationError

from antiphon.errors import InvalidValue
from antiphon.schemas import (
    AudioPart,
    BlobRef,
    ImagePart,
    Message,
    ReplyFormat,
    ReplyOptions,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)
from services.responder.engines import Prompt
from services.responder.engines.upstream_options import UpstreamOptions
from services.responder.engines.upstream_request import Clip, rough_prompt_tokens, write_body

pytestmark = pytest.mark.unit

OFFICIAL: TypeAdapter[CompletionCreateParamsStreaming] = TypeAdapter(CompletionCreateParamsStreaming)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (
    Tool(name="weather", description="The weather.", parameters=CITY, strict=True),
    Tool(name="alarm", parameters=CITY),
    Tool(name="now"),
)
CALLED = (
    Message(role="assistant", tool_calls=(ToolCall(id="c1", name="now", arguments="{}"),)),
    Message(role="tool", tool_call_id="c1", content=(TextPart(text="7:30"),)),
)


def user(*parts: TextPart | AudioPart | ImagePart) -> Message:
    """Return what a user says."""
    return Message(role="user", content=parts)


def heard(uri: str = "redis:1", transcript: str | None = "Good morning.") -> AudioPart:
    """Return a recording."""
    return AudioPart(audio=BlobRef(uri=uri), transcript=transcript)


def write(prompt: Prompt, clips: dict[str, Clip] | None = None, **options: Any) -> dict[str, Any]:
    """Return the body, which is what the official types say."""
    read = UpstreamOptions.read("my-llm", {"base_url": "http://127.0.0.1:1/v1"} | options)
    body = write_body(prompt, name="my-llm", model="there", options=read, clips=clips or {})
    exhaust(OFFICIAL.validate_python(body))
    return body


def exhaust(value: Any) -> None:
    """Go through what is checked only then."""
    if isinstance(value, str):
        return
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, Iterable) else ():
        exhaust(part)


def say(text: str = "Hi", **rest: Any) -> Prompt:
    """Return a prompt of one message."""
    return Prompt(messages=(user(TextPart(text=text)),), **rest)


def test_what_is_left_at_its_default_is_not_sent() -> None:
    assert write(say()) == {"model": "there", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def test_the_official_types_are_looked_at() -> None:
    wrong = {"model": "m", "stream": True, "messages": [{"role": "user", "content": [{"type": "sound"}]}]}
    with pytest.raises(ValidationError):
        exhaust(OFFICIAL.validate_python(wrong))


def test_every_option_goes_to_its_field() -> None:
    options = ReplyOptions(
        max_tokens=9,
        temperature=0.0,
        top_p=0.5,
        seed=0,
        stop=("a", "b"),
        presence_penalty=1.0,
        frequency_penalty=-1.0,
        logprobs=True,
        top_logprobs=2,
    )
    sent = {name: value for name, value in write(say(options=options)).items() if name not in ("model", "messages")}
    assert sent == {
        "stream": True,
        "max_completion_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 0,
        "stop": ["a", "b"],
        "presence_penalty": 1.0,
        "frequency_penalty": -1.0,
        "logprobs": True,
        "top_logprobs": 2,
    }
    assert write(say(options=options), max_tokens_field="max_tokens")["max_tokens"] == 9


def test_every_role_is_written() -> None:
    prompt = Prompt(
        messages=(
            Message(role="system", content=(TextPart(text="Be brief."),)),
            Message(role="user", name="ann", content=(TextPart(text="What"), TextPart(text="time?"))),
            *CALLED,
            Message(role="assistant", content=(heard(transcript="Half past seven."),)),
            user(),
        )
    )
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    assert write(prompt)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": "What\ntime?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "7:30", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Half past seven."},
        {"role": "user", "content": ""},
    ]


def test_a_model_that_does_not_hear_reads() -> None:
    prompt = Prompt(messages=(user(TextPart(text="Hear:"), heard()),))
    assert write(prompt)["messages"][0]["content"] == "Hear:\nGood morning."


def test_a_model_that_hears_gets_the_recording() -> None:
    prompt = Prompt(messages=(user(TextPart(text="Hear:"), heard()), Message(role="assistant", content=(heard(),))))
    asked, answered = write(prompt, {"redis:1": Clip(b"RIFF", "wav")}, hears=True)["messages"]
    assert asked["content"] == [
        {"type": "text", "text": "Hear:"},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFF").decode(), "format": "wav"}},
    ]
    assert answered["content"] == "Good morning."


def test_speech_without_words_for_a_model_that_does_not_hear_is_refused() -> None:
    with pytest.raises(InvalidValue, match="`my-llm`") as caught:
        write(Prompt(messages=(user(heard(transcript=None)),)))
    assert caught.value.param == "messages"


def test_images_are_for_models_that_see() -> None:
    url = "https://example.com/cat.png"
    prompt = Prompt(messages=(user(TextPart(text="What?"), ImagePart(url=url), ImagePart(url=url, detail="low")),))
    assert write(prompt, sees=True)["messages"][0]["content"][1:] == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    with pytest.raises(InvalidValue, match="images") as caught:
        write(prompt)
    assert caught.value.param == "messages"


def test_a_voice_is_for_models_that_speak() -> None:
    body = write(say(voice="alloy"), speaks=True)
    assert (body["modalities"], body["audio"]) == (["text", "audio"], {"voice": "alloy", "format": "pcm16"})
    for written in (write(say(voice="alloy")), write(say(), speaks=True)):
        assert not {"modalities", "audio"} & written.keys()


def test_tools_are_described_as_far_as_they_are() -> None:
    assert write(say(tools=TOOLS))["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "The weather.", "parameters": CITY, "strict": True},
        },
        {"type": "function", "function": {"name": "alarm", "parameters": CITY}},
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    ]


NAMED = {"type": "function", "function": {"name": "alarm"}}


@pytest.mark.parametrize(
    ("choice", "names", "sent"),
    [
        (ToolChoice(), ["weather", "alarm", "now"], None),
        (ToolChoice(mode="required"), ["weather", "alarm", "now"], "required"),
        (ToolChoice(mode="required", names=("alarm",)), ["alarm"], NAMED),
        (ToolChoice(mode="required", names=("now", "alarm")), ["alarm", "now"], "required"),
        (ToolChoice(mode="auto", names=("now", "alarm")), ["alarm", "now"], None),
        (ToolChoice(mode="auto", names=("alarm",)), ["alarm"], None),
        (ToolChoice(mode="none"), [], None),
    ],
)
def test_what_may_be_called_is_what_is_shown(choice: ToolChoice, names: list[str], sent: Any) -> None:
    body = write(say(tools=TOOLS, options=ReplyOptions(tool_choice=choice)))
    assert [tool["function"]["name"] for tool in body.get("tools", [])] == names
    assert body.get("tool_choice") == sent


def test_tools_stay_where_the_conversation_holds_calls() -> None:
    options = ReplyOptions(tool_choice=ToolChoice(mode="none"))
    body = write(Prompt(messages=(user(TextPart(text="Hi")), *CALLED), tools=TOOLS, options=options))
    assert len(body["tools"]) == 3
    assert body["tool_choice"] == "none"


def test_one_call_at_a_time_is_asked_for_only_with_tools() -> None:
    options = ReplyOptions(parallel_tool_calls=False)
    assert write(say(tools=TOOLS, options=options))["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in write(say(options=options))
    assert "parallel_tool_calls" not in write(say(tools=TOOLS))


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (ReplyFormat(type="json_object"), {"type": "json_object"}),
        (
            ReplyFormat(type="json_schema", name="place", json_schema=CITY, strict=True),
            {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY, "strict": True}},
        ),
        (
            ReplyFormat(type="json_schema", json_schema=CITY),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": CITY}},
        ),
    ],
)
def test_the_form_of_the_answer_is_asked_for(form: ReplyFormat, sent: dict[str, Any]) -> None:
    assert write(say(options=ReplyOptions(format=form)))["response_format"] == sent


def test_a_prompt_is_counted_roughly() -> None:
    prompt = Prompt(messages=(user(TextPart(text="x" * 400), heard(transcript="y" * 40)), *CALLED))
    assert 110 <= rough_prompt_tokens(prompt) <= 130
