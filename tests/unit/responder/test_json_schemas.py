"""A schema is held to as it is, or refused with what cannot be held to. Neither takes long."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from antiphon.errors import InvalidValue
from antiphon.schemas import ReplyFormat, Tool, ToolChoice
from services.responder.engines.answer_form import answer_form
from services.responder.engines.byte_grammar import Grammars
from services.responder.engines.json_schemas import prepare

pytestmark = pytest.mark.unit

PARAM = "response_format"


def hold(schema: Any) -> None:
    format = ReplyFormat(type="json_schema", json_schema=schema)
    answer_form((), choice=ToolChoice(), parallel=True, format=format, grammars=Grammars())


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


HOSTILE: dict[str, Any] = {
    "what no grammar says": {"type": "array", "uniqueItems": True},
    "a negation": {"not": {"type": "string"}},
    "a condition": {"if": {"type": "string"}, "then": {"minLength": 3}},
    "names by a rule": {"type": "object", "propertyNames": {"pattern": "^a"}},
    "branches that overlap": {"oneOf": [{"type": "number"}, {"type": "integer"}]},
    "nothing satisfies it": {"type": "integer", "minimum": 5, "maximum": 2},
    "a required property that cannot be": {"type": "object", "required": ["z"], "additionalProperties": False},
    "false": {"type": "object", "properties": {"a": False}, "required": ["a"]},
    "a schema elsewhere": {"$ref": "http://example.org/schema.json"},
    "a file": {"$ref": "file:///etc/passwd"},
    "a place that is not there": {"$ref": "#/$defs/nowhere"},
    "a type that is none": {"type": "sentence"},
    "properties that are none": {"type": "object", "properties": 5},
    "an old array": {"type": "array", "items": [{"type": "string"}]},
    "old words": {"type": "number", "divisibleBy": 2},
    "a pattern that is none": {"type": "string", "pattern": "["},
    "a pattern that looks around": {"type": "string", "pattern": "(?=a)b"},
    "a pattern that refers back": {"type": "string", "pattern": "(a)\\1"},
    "numbers that there are none of": {"type": "integer", "maximum": -0.001, "multipleOf": 100},
    "very many": {"type": "array", "maxItems": 1_000_000},
    "infinitely many": {"type": "array", "maxItems": 1e400},
    "very deep": nested(3000),
    "deeper than wanted": nested(40),
    "very wide": {"enum": [str(number) for number in range(1_000_000)]},
    "very long": {"type": "string", "description": "x" * 100_000},
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_cannot_be_held_to_is_refused_at_once(schema: Any) -> None:
    started = time.process_time()
    with pytest.raises(InvalidValue) as caught:
        hold(schema)
    assert caught.value.param == PARAM
    assert len(caught.value.message) < 500
    assert "\n" not in caught.value.message
    assert time.process_time() - started < 2.0


HELD: dict[str, Any] = {
    "anything": {},
    "recursion": {"type": "object", "properties": {"c": {"$ref": "#"}}},
    "definitions": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
    "several types": {"type": ["string", "null"]},
    "a number between": {"type": "number", "minimum": 0.5, "maximum": 7.5},
    "a pattern": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "a tuple": {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
    "a date": {"type": "string", "format": "date"},
    "an unknown format": {"type": "string", "format": "phone"},
    "remarks": {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "default": 1},
    "all of": {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"required": ["a"]}]},
    "one of, told apart": {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]},
            {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
        ]
    },
    "a property called properties": {"type": "object", "properties": {"properties": {"type": "string"}}},
}


@pytest.mark.parametrize("schema", HELD.values(), ids=HELD.keys())
def test_what_can_be_held_to_is_let_through(schema: Any) -> None:
    before = json.dumps(schema)
    hold(schema)
    assert json.dumps(schema) == before


def test_an_object_that_lists_its_properties_has_no_others() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "string"}}}
    prepared = prepare({"type": "object", "properties": {"a": inner}}, param=PARAM)
    assert prepared["additionalProperties"] is False
    assert prepared["properties"]["a"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]},
        {"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}, {"properties": {"c": {}}}]},
        {"properties": {"a": {}}, "$ref": "#/$defs/more", "$defs": {"more": {"properties": {"b": {}}}}},
        {"properties": {"a": {}}, "patternProperties": {"^x-": {"type": "string"}}},
        {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
    ],
)
def test_an_object_stays_open_where_its_schema_says_more_elsewhere(schema: dict[str, Any]) -> None:
    assert prepare(schema, param=PARAM) == schema


def test_a_schema_cannot_bring_settings_of_its_own() -> None:
    prepared = prepare({"type": "object", "x-guidance": {"lenient": True}, "properties": {}}, param=PARAM)
    assert "x-guidance" not in prepared


@pytest.mark.parametrize(
    ("tools", "choice", "format", "param"),
    [
        ((Tool(name="a"), Tool(name="a")), ToolChoice(), ReplyFormat(), "tools[1].function.name"),
        ((Tool(name="a"),), ToolChoice(names=("b",)), ReplyFormat(), "tool_choice"),
        ((Tool(name="a"), Tool(name="b", parameters={"not": {}})), ToolChoice(), ReplyFormat(), "tools[1]"),
        ((Tool(name="a", parameters={"type": "string"}),), ToolChoice(), ReplyFormat(), "tools[0]"),
        ((), ToolChoice(), ReplyFormat(type="json_schema", json_schema={"not": {}}), "response_format"),
        ((Tool(name="a"),), ToolChoice(), ReplyFormat(type="json_schema", json_schema={"not": {}}), "response_format"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(
    tools: tuple[Tool, ...], choice: ToolChoice, format: ReplyFormat, param: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        answer_form(tools, choice=choice, parallel=True, format=format, grammars=Grammars())
    assert (caught.value.param or "").startswith(param)
