"""What MCP servers say, in the words of the protocol of sessions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import mcp_types as mcp
import orjson

from services.realtime.tools.approval import is_allowed
from services.realtime.tools.failures import ToolFailed

LARGEST_LISTING = 512 * 1024
"""Most bytes of JSON of the tools of one server: they are told in one event, and to the model in every turn."""
LONGEST_OUTPUT = 256 * 1024
"""Most characters of what one call brings: they become part of the conversation."""


def told_tools(tools: Iterable[mcp.Tool], server: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the tools that a session's client allows, as an `mcp_list_tools` item has them. Raises `ToolFailed`."""
    told: list[dict[str, Any]] = []
    size = 0
    for tool in tools:
        annotations = tool.annotations
        read_only = annotations is not None and annotations.read_only_hint is True
        if is_allowed(server, tool.name, read_only=read_only):
            described = _described(tool)
            size += len(orjson.dumps(described, default=str))
            if size > LARGEST_LISTING:
                raise ToolFailed.of("protocol_error", "The MCP server has more tools than fit.", -32600)
            told.append(described)
    return tuple(told)


def told_output(result: mcp.CallToolResult) -> str:
    """Return what a tool answers as text. Raises `ToolFailed` if the tool says that it failed."""
    parts = [_text(block) for block in result.content]
    if not parts and result.structured_content is not None:
        parts = [orjson.dumps(result.structured_content).decode()]
    output = "\n".join(parts)
    if result.is_error:
        raise ToolFailed.of("tool_execution_error", output or "The tool failed.")
    if len(output) > LONGEST_OUTPUT:
        raise ToolFailed.of(
            "tool_execution_error", f"The output of the tool is longer than {LONGEST_OUTPUT} characters."
        )
    return output


def _described(tool: mcp.Tool) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tool.name, "input_schema": tool.input_schema}
    if tool.description is not None:
        described["description"] = tool.description
    if tool.annotations is not None:
        described["annotations"] = tool.annotations.model_dump(mode="json", by_alias=True, exclude_none=True)
    return described


def _text(block: mcp.ContentBlock) -> str:
    match block:
        case mcp.TextContent():
            return block.text
        case mcp.ImageContent() | mcp.AudioContent():
            # Whoever reads the output reads words: what the bytes are is all that can be said of them.
            return f"[{block.type}: {block.mime_type}]"
        case mcp.ResourceLink():
            return str(block.uri)
        case _:
            resource = block.resource
            return resource.text if isinstance(resource, mcp.TextResourceContents) else str(resource.uri)
