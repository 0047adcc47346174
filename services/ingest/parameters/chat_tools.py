"""The tools of a chat completion, and which of them may be called."""

from __future__ import annotations

import re
from typing import Any

import orjson

from antiphon.errors import InvalidValue
from antiphon.given import MaybeGiven, shortened
from antiphon.schemas import Tool, ToolChoice

MAX_TOOLS = 128
MAX_CHARACTERS = 1024 * 1024

_LONGEST_NAME = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]+")


def read_tools(given: MaybeGiven, *, strict: bool) -> tuple[Tool, ...]:
    """Return the functions that the model may call. Raises `InvalidRequest`."""
    tools: list[Tool] = []
    characters = 0
    for item in given.items(filled=strict, most=MAX_TOOLS):
        tool = _tool(item)
        if any(tool.name == other.name for other in tools):
            param = f"{item.param}.function.name"
            raise InvalidValue(
                f"Invalid value for '{param}': there is another tool with the name '{tool.name}'.", param=param
            )
        characters += len(tool.description or "") + len(orjson.dumps(tool.parameters))
        if characters > MAX_CHARACTERS:
            raise InvalidValue(
                f"Invalid '{given.param}': too much text. At most {MAX_CHARACTERS} characters are accepted.",
                param=given.param,
            )
        tools.append(tool)
    return tuple(tools)


def read_tool_choice(given: MaybeGiven, tools: tuple[Tool, ...]) -> ToolChoice:
    """Return whether and what to call. Raises `InvalidRequest`."""
    if given.absent:
        return ToolChoice()
    if not tools:
        raise InvalidValue(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            param=given.param,
        )
    if isinstance(given.value, str):
        mode = given.required_choice(("none", "auto", "required"))
        return ToolChoice(mode=mode)
    if not isinstance(given.value, dict):
        raise given.wrong_type("one of a string or object")
    kind = given.member("type").required_choice(("function", "allowed_tools"), unserved=("custom",))
    if kind == "function":
        return ToolChoice(mode="required", names=(_named(given, given, tools),))
    return _allowed(given, tools)


def read_name(given: MaybeGiven) -> str:
    """Return the name of a function or a format. Raises `MissingParameter`, `InvalidValue`."""
    name = given.filled_text(longest=_LONGEST_NAME)
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            f"Invalid '{given.param}': string does not match pattern. "
            f"Expected a string that matches the pattern '^{_NAME.pattern}$'.",
            param=given.param,
        )
    return name


def _tool(given: MaybeGiven) -> Tool:
    given.member("type").required_choice(("function",), unserved=("custom",))
    function = given.member("function")
    name = read_name(function.member("name"))
    parameters = function.member("parameters")
    return Tool(
        name=name,
        description=function.member("description").text(),
        parameters={} if parameters.absent else _parameters(parameters, name),
        strict=function.member("strict").flag(),
    )


def _parameters(given: MaybeGiven, name: str) -> dict[str, Any]:
    schema = given.json_object()
    if schema.get("type", "object") != "object":
        raise InvalidValue(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{shortened(str(schema['type']))}\"'.",
            param=given.param,
        )
    return schema


def _allowed(given: MaybeGiven, tools: tuple[Tool, ...]) -> ToolChoice:
    allowed = given.member("allowed_tools")
    mode = allowed.member("mode").required_choice(("auto", "required"))
    items = allowed.member("tools").required().items(filled=True, most=MAX_TOOLS)
    for item in items:
        item.member("type").required_choice(("function",), unserved=("custom",))
    names = (_named(item, given, tools) for item in items)
    return ToolChoice(mode=mode, names=tuple(dict.fromkeys(names)))


def _named(reference: MaybeGiven, choice: MaybeGiven, tools: tuple[Tool, ...]) -> str:
    name = reference.member("function").member("name").required_text()
    if all(tool.name != name for tool in tools):
        raise InvalidValue(
            f"Invalid value for 'tool_choice': no function named '{shortened(name)}' was specified "
            "in the 'tools' parameter.",
            param=choice.param,
        )
    return name
