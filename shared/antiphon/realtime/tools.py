"""The tools of a session: functions that its client carries out, and servers that are asked in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from antiphon.errors import InvalidValue, UnsupportedValue
from antiphon.given import Given, listed, missing, shortened

MOST_TOOLS = 128
LONGEST_NAME = 64
LONGEST_DESCRIPTION = 64 * 1024
CHOICES = ("auto", "none", "required")

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_LONGEST_URL = 8192
_LONGEST_SECRET = 32 * 1024
_LONGEST_HEADER_NAME = 256
_MOST_HEADERS = 64
_MOST_NAMES = 1024
_LONGEST_TOOL_NAME = 256
_FUNCTION = ("type", "name", "description", "parameters", "strict")
_ELSEWHERE = ("connector_id", "tunnel_id")
"""Names of servers that only their own vendor can reach."""
_SECRETS = ("authorization", "headers")
_CALLERS = ("direct", "programmatic")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def read_tools(given: Given) -> list[dict[str, Any]]:
    """Return the tools that a client gives. Raises `InvalidRequest`."""
    if given.is_null:
        return []
    tools: list[dict[str, Any]] = []
    for item in given.items(most=MOST_TOOLS):
        kind = item.required("type").choice(("function", "mcp"))
        tool = _function(item) if kind == "function" else _server(item)
        name = "name" if kind == "function" else "server_label"
        if any(tool[name] == other.get(name) for other in tools):
            param = f"{item.param}.{name}"
            raise InvalidValue(
                f"Invalid value for '{param}': there is another tool with the {name} '{tool[name]}'.", param=param
            )
        tools.append(tool)
    return tools


def read_tool_choice(given: Given, tools: Sequence[Mapping[str, Any]]) -> str | dict[str, Any]:
    """Return whether and which of `tools` to call; None leaves it to the model. Raises `InvalidRequest`."""
    if given.is_null:
        return "auto"
    if isinstance(given.value, str):
        return given.choice(CHOICES)
    if not isinstance(given.value, dict):
        raise given.wrong_type("one of a string or an object")
    if given.required("type").choice(("function", "mcp")) == "function":
        return _chosen_function(given, tools)
    return _chosen_server(given, tools)


def without_secrets(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return tools as a client is shown them: what proves to a server who asks is for that server only."""
    return [{name: value for name, value in tool.items() if name not in _SECRETS} for tool in tools]


def _function(given: Given) -> dict[str, Any]:
    members = given.filled(_FUNCTION)
    tool: dict[str, Any] = {"type": "function", "name": _name(given.required("name"))}
    if "description" in members:
        tool["description"] = members["description"].text(longest=LONGEST_DESCRIPTION)
    if "parameters" in members:
        tool["parameters"] = _parameters(members["parameters"], tool["name"])
    if "strict" in members:
        tool["strict"] = members["strict"].flag()
    return tool


def _name(given: Given) -> str:
    name = given.text(least=1, longest=LONGEST_NAME)
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            f"Invalid '{given.param}': string does not match pattern. "
            f"Expected a string that matches the pattern '^{_NAME.pattern}$'.",
            param=given.param,
        )
    return name


def _parameters(given: Given, function: str) -> dict[str, Any]:
    schema = given.json_object()
    kind = schema.get("type", "object")
    if kind != "object":
        raise InvalidValue(
            f"Invalid schema for function '{function}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{shortened(str(kind))}\"'.",
            param=given.param,
        )
    return schema


def _server(given: Given) -> dict[str, Any]:
    members = given.filled(("type", "server_label", *_ELSEWHERE, *_SERVER))
    tool: dict[str, Any] = {"type": "mcp", "server_label": _name(given.required("server_label"))}
    for elsewhere in _ELSEWHERE:
        if elsewhere in members:
            param = members[elsewhere].param
            raise UnsupportedValue(
                f"Unsupported parameter: '{param}' is not served here. Give the 'server_url' of an MCP server instead.",
                param=param,
            )
    if "server_url" not in members:
        raise missing(f"{given.param}.server_url")
    for name, member in members.items():
        if name not in tool:
            tool[name] = _SERVER[name](member)
    return tool


def _url(given: Given) -> str:
    url = given.text(least=1, longest=_LONGEST_URL)
    if not url.lower().startswith(("https://", "http://")):
        raise InvalidValue(f"Invalid '{given.param}': the URL must begin with https://.", param=given.param)
    return url


def _header_value(given: Given) -> str:
    value = given.text(least=1, longest=_LONGEST_SECRET)
    if not _HEADER_VALUE.fullmatch(value):
        raise InvalidValue(f"Invalid '{given.param}': it cannot be the value of a header.", param=given.param)
    return value


def _headers(given: Given) -> dict[str, str]:
    if len(given.object()) > _MOST_HEADERS:
        raise InvalidValue(f"Invalid '{given.param}': at most {_MOST_HEADERS} headers are accepted.", param=given.param)
    headers: dict[str, str] = {}
    for name, value in given.object().items():
        member = given.at(shortened(name), value)
        if len(name) > _LONGEST_HEADER_NAME or not _HEADER_NAME.fullmatch(name):
            raise InvalidValue(
                f"Invalid '{given.param}': '{shortened(name)}' is no name of a header.", param=given.param
            )
        headers[name] = _header_value(member)
    return headers


def _names(given: Given) -> list[str]:
    return given.texts(most=_MOST_NAMES, longest=_LONGEST_TOOL_NAME)


def _filter(given: Given) -> dict[str, Any]:
    members = given.filled(("tool_names", "read_only"))
    wanted: dict[str, Any] = {}
    if "tool_names" in members:
        wanted["tool_names"] = _names(members["tool_names"])
    if "read_only" in members:
        wanted["read_only"] = members["read_only"].flag()
    return wanted


def _approval(given: Given) -> str | dict[str, Any]:
    if isinstance(given.value, dict):
        return {name: _filter(member) for name, member in given.filled(("always", "never")).items()}
    return given.choice(("always", "never"))


def _allowed_tools(given: Given) -> list[str] | dict[str, Any]:
    return _names(given) if isinstance(given.value, list) else _filter(given)


def _callers(given: Given) -> list[str]:
    return [item.choice(_CALLERS) for item in given.items(of="strings", most=len(_CALLERS))]


_SERVER: dict[str, Callable[[Given], Any]] = {
    "server_url": _url,
    "authorization": _header_value,
    "headers": _headers,
    "server_description": lambda given: given.text(longest=LONGEST_DESCRIPTION),
    "allowed_tools": _allowed_tools,
    "require_approval": _approval,
    "allowed_callers": _callers,
    "defer_loading": Given.flag,
}


def _chosen_function(given: Given, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if "function" in given.filled(("type", "name", "function")):
        holder = given.required("function")
        holder.members(("name",))
    else:
        holder = given
    name = holder.required("name").text(longest=LONGEST_NAME)
    names = [tool["name"] for tool in tools if tool["type"] == "function"]
    if name not in names:
        raise _not_there(given, "function", name, names)
    return {"type": "function", "name": name}


def _chosen_server(given: Given, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    members = given.filled(("type", "server_label", "name"))
    label = given.required("server_label").text(longest=LONGEST_NAME)
    labels = [tool["server_label"] for tool in tools if tool["type"] == "mcp"]
    if label not in labels:
        raise _not_there(given, "MCP server", label, labels)
    chosen: dict[str, Any] = {"type": "mcp", "server_label": label}
    if "name" in members:
        chosen["name"] = members["name"].text(longest=_LONGEST_TOOL_NAME)
    return chosen


def _not_there(given: Given, kind: str, name: str, names: Sequence[str]) -> InvalidValue:
    there = f" There is {listed(names[:10])}." if names else ""
    return InvalidValue(
        f"Invalid value for '{given.param}': no {kind} '{shortened(name)}' is among the tools.{there}",
        param=given.param,
    )
