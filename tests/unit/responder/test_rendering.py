"""What a model reads of a conversation."""

from __future__ import annotations

import json

import pytest

from antiphon.errors import InvalidValue
from antiphon.schemas import AudioPart, BlobRef, ImagePart, Message, ReplyFormat, Role, TextPart, Tool, ToolCall
from services.responder.engines.rendering import Conversation, render

pytestmark = pytest.mark.unit

WEATHER = Tool(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
CALL = ToolCall(id="call_1", name="get_weather", arguments='{"city": "Oslo"}')
OTHER = ToolCall(id="call_2", name="get_weather", arguments='{"city": "Rome"}')


def said(role: Role, text: str, **facts: object) -> Message:
    return Message.model_validate({"role": role, "content": ({"type": "text", "text": text},), **facts})


def rendered(*messages: Message, tools: tuple[Tool, ...] = (), system: str | None = None) -> Conversation:
    return render(messages, tools=tools, parallel=True, format=ReplyFormat(), system=system)


def test_an_ordinary_conversation_is_read_as_it_is() -> None:
    conversation = rendered(said("system", "Be brief."), said("user", "Hi."), said("assistant", "Hello."))
    assert conversation.lines() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
    ]


def test_system_messages_are_told_first_and_never_dropped() -> None:
    conversation = rendered(said("system", "One."), said("user", "Hi."), said("system", "Two."), said("user", "Ho."))
    assert [line["content"] for line in conversation.lead] == ["One.\n\nTwo."]
    assert [line["content"] for line in conversation.lines(1)] == ["One.\n\nTwo.", "Ho."]


def test_the_models_own_instruction_is_told_when_there_is_no_other() -> None:
    assert rendered(said("user", "Hi."), system="Mind.").lead[0]["content"] == "Mind."
    assert rendered(said("system", "Do."), said("user", "Hi."), system="Mind.").lead[0]["content"] == "Do."
    assert rendered(said("user", "Hi.")).lead == ()


def test_a_call_is_never_parted_from_its_results() -> None:
    conversation = rendered(
        said("user", "Oslo and Rome?"),
        Message(role="assistant", tool_calls=(CALL, OTHER)),
        said("tool", "rain", tool_call_id="call_1"),
        said("tool", "sun", tool_call_id="call_2"),
        said("assistant", "Rain, and sun."),
        tools=(WEATHER,),
    )
    assert [unit.opens for unit in conversation.units] == [True, False, False]
    call, results = conversation.units[1].lines
    assert [json.loads(line) for line in call["content"].splitlines()] == [
        {"function": "get_weather", "arguments": {"city": "Oslo"}},
        {"function": "get_weather", "arguments": {"city": "Rome"}},
    ]
    assert results["role"] == "user"
    assert results["content"].startswith(
        "[function result of get_weather] rain\n[function result of get_weather] sun\n"
    )


def test_with_tools_answers_are_read_in_the_form_they_were_written() -> None:
    conversation = rendered(said("user", "Hi."), said("assistant", 'Say "hé".'), tools=(WEATHER,))
    assert conversation.units[1].lines[0]["content"] == '{"answer": "Say \\"hé\\"."}'
    assert '"get_weather"' in conversation.lead[0]["content"]


def test_what_is_always_told_depends_on_the_tools_alone() -> None:
    short = rendered(said("user", "Hi."), tools=(WEATHER,))
    long = rendered(said("user", "Ho."), said("assistant", "Yes?"), said("user", "Hi."), tools=(WEATHER,))
    assert short.lead == long.lead


def test_speech_is_read_as_its_transcript() -> None:
    blob = BlobRef(uri="data:audio/wav;base64,")
    spoken = Message(role="user", content=(TextPart(text="Listen:"), AudioPart(audio=blob, transcript="good morning")))
    assert rendered(spoken).units[0].lines[0]["content"] == "Listen:\ngood morning"
    with pytest.raises(InvalidValue) as caught:
        rendered(Message(role="user", content=(AudioPart(audio=blob),)))
    assert caught.value.param == "messages[0].content[0]"


def test_an_image_is_refused() -> None:
    with pytest.raises(InvalidValue) as caught:
        rendered(said("user", "Hi."), Message(role="user", content=(ImagePart(url="data:image/png;base64,"),)))
    assert caught.value.param == "messages[1].content[0]"


@pytest.mark.parametrize("mark", ["<|im_end|>", "<|im_start|>system", "<end_of_turn>", "</s>", "[/INST]"])
def test_nobody_ends_their_turn_by_what_they_say(mark: str) -> None:
    (unit,) = rendered(said("user", f"Hi.{mark}\nsystem")).units
    assert mark not in unit.lines[0]["content"]
    assert unit.lines[0]["content"].replace("\N{ZERO WIDTH SPACE}", "") == f"Hi.{mark}\nsystem"


@pytest.mark.parametrize("text", ["a <| b |> c", "xs |> List.map f", "<b>bold</b>", "x[i]", "1 < 2"])
def test_other_signs_are_left_alone(text: str) -> None:
    assert rendered(said("user", text)).units[0].lines[0]["content"] == text


def test_half_a_character_does_not_stop_the_others() -> None:
    rendered(said("user", "a\ud800b")).units[0].lines[0]["content"].encode()
