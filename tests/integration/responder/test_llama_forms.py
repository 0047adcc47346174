"""Tools and JSON: what the model writes always satisfies the schema it was given."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import jsonschema
import pytest

from antiphon.errors import InvalidValue
from antiphon.schemas import Message, ReplyFormat, ReplyOptions, Tool, ToolCall, ToolChoice
from services.responder.engines import Prompt
from services.responder.engines.llama import Llama
from tests.integration.responder.conversations import DEFAULT, hear, load, said

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

SCHEMAS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
    },
    "alarm": {
        "type": "object",
        "properties": {
            "time": {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
            "days": {"type": "array", "items": {"enum": ["mon", "tue"]}, "minItems": 1, "maxItems": 2},
            "volume": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["time", "days", "volume"],
    },
    "tree": {
        "type": "object",
        "properties": {
            "size": {"type": "integer", "exclusiveMinimum": 3, "maximum": 12},
            "on": {"type": ["string", "null"], "format": "date"},
            "kind": {"anyOf": [{"const": "oak"}, {"type": "object", "properties": {"n": {"type": "boolean"}}}]},
        },
        "required": ["size", "on", "kind"],
    },
    "nothing": {},
}
TOOLS = tuple(Tool(name=name, parameters=schema) for name, schema in SCHEMAS.items())
ASKING = said("user", "Wake me up on Monday at half past seven, gently.")


@pytest.mark.parametrize(("name", "temperature"), [("weather", 0.0), ("alarm", 2.0), ("tree", 2.0), ("nothing", 0.0)])
async def test_arguments_always_validate(small: Llama, name: str, temperature: float) -> None:
    options = ReplyOptions(
        temperature=temperature,
        top_p=1.0,
        seed=5,
        parallel_tool_calls=False,
        tool_choice=ToolChoice(mode="required", names=(name,)),
    )
    heard = await hear(small, Prompt(messages=(ASKING,), tools=TOOLS, options=options))
    (call,) = heard.calls
    assert (call.name, heard.text, heard.ended.finish_reason) == (name, "", "tool_calls")
    assert re.fullmatch(r"call_[A-Za-z0-9]{24}", call.id)
    checker = jsonschema.Draft202012Validator(
        {"type": "object", **SCHEMAS[name]}, format_checker=jsonschema.FormatChecker()
    )
    checker.validate(json.loads(call.arguments))


async def test_an_answer_beside_tools_is_plain_text(small: Llama) -> None:
    options = ReplyOptions(tool_choice=ToolChoice(mode="none"), max_tokens=40, logprobs=True)
    heard = await hear(small, Prompt(messages=(said("user", 'Say "hello".'),), tools=TOOLS, options=options))
    assert heard.calls == []
    assert heard.text
    assert not heard.text.startswith("{")
    assert heard.tokens


async def test_arguments_that_are_cut_off_are_said_to_be(small: Llama) -> None:
    options = ReplyOptions(max_tokens=12, tool_choice=ToolChoice(mode="required", names=("alarm",)))
    heard = await hear(small, Prompt(messages=(ASKING,), tools=TOOLS, options=options))
    assert heard.ended.finish_reason == "length"
    assert heard.ended.usage.completion_tokens == 12


async def test_a_stop_string_ends_an_answer_and_no_call(small: Llama) -> None:
    options = ReplyOptions(stop=(":", "{"), tool_choice=ToolChoice(mode="required", names=("weather",)))
    heard = await hear(small, Prompt(messages=(ASKING,), tools=TOOLS, options=options))
    assert heard.ended.finish_reason == "tool_calls"
    json.loads(heard.calls[0].arguments)


@pytest.mark.parametrize(
    "format",
    [ReplyFormat(type="json_object"), ReplyFormat(type="json_schema", json_schema=SCHEMAS["tree"])],
    ids=lambda format: format.type,
)
async def test_an_answer_in_json_is_json(small: Llama, format: ReplyFormat) -> None:
    asking = said("user", "Describe an oak as a JSON object with two short keys.")
    heard = await hear(small, Prompt(messages=(asking,), options=ReplyOptions(format=format, max_tokens=120)))
    assert heard.ended.finish_reason == "stop"
    jsonschema.validate(json.loads(heard.text), format.json_schema or {"type": "object"})


@pytest.mark.parametrize(
    "pattern",
    ["^((((a{1,9}){1,9}){1,9}){1,9}){1,9}$", ".*a.{200}.*b.{200}"],
)
async def test_a_pattern_that_explodes_hurts_nobody(small: Llama, pattern: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}, "required": ["a"]}
    format = ReplyFormat(type="json_schema", json_schema=schema)
    heard = await hear(small, Prompt(messages=(ASKING,), options=ReplyOptions(format=format, max_tokens=8)))
    assert heard.text.startswith('{"a": "')


async def test_a_schema_that_cannot_be_held_to_is_refused_before_anything_is_written(small: Llama) -> None:
    tools = (*TOOLS, Tool(name="set", parameters={"type": "object", "properties": {"a": {"uniqueItems": True}}}))
    with pytest.raises(InvalidValue) as caught:
        await hear(small, Prompt(messages=(ASKING,), tools=tools))
    assert caught.value.param == "tools[4].function.parameters"
    assert "uniqueItems" in caught.value.message


HOME = (
    Tool(
        name="get_weather",
        description="Get the current weather for a city",
        parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
    Tool(
        name="set_alarm",
        description="Set an alarm for a time of day",
        parameters={
            "type": "object",
            "properties": {"time": {"type": "string", "description": "HH:MM, 24h"}},
            "required": ["time"],
        },
    ),
)


@pytest.mark.timeout(240)
async def test_the_default_model_calls_what_is_needed_and_answers_otherwise() -> None:
    engine = await asyncio.to_thread(load, DEFAULT, parallel=1)
    try:
        called: list[list[tuple[str, str]]] = []
        for question in ("What's the weather in Paris and in Oslo?", "Wake me up at 7:30.", "Who wrote Hamlet?"):
            heard = await hear(engine, Prompt(messages=(said("user", question),), tools=HOME))
            called.append([(call.name, call.arguments) for call in heard.calls])
        weather = [("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Oslo"}')]
        assert called == [weather, [("set_alarm", '{"time": "07:30"}')], []]
        assert "Shakespeare" in heard.text
        call = ToolCall(id="call_1", name="get_weather", arguments='{"city": "Paris"}')
        told = (
            said("user", "What's the weather in Paris?"),
            Message(role="assistant", tool_calls=(call,)),
            said("tool", '{"temp_c": 18, "sky": "light rain"}', tool_call_id="call_1"),
        )
        heard = await hear(engine, Prompt(messages=told, tools=HOME))
        assert heard.calls == []
        assert "18" in heard.text
    finally:
        await engine.aclose()
