"""MCP servers that the tools of sessions name: asked what tools they have, and to use them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from antiphon.egress import Egress
from antiphon.errors import InvalidValue
from services.realtime.tools.approval import is_allowed
from services.realtime.tools.failures import ToolFailed

if TYPE_CHECKING:
    from services.realtime.tools.asking import Asking

TIMEOUT_S = 30.0
LARGEST_ANSWERS = 4 * 1024 * 1024
"""Most bytes that a server may send while it is asked for one thing."""


class ToolServers:
    """The MCP servers of all sessions of a process. Each is met anew for every question, and nothing of it is kept.

    They are reached through `egress` alone, and nothing that is said to them or by them is logged.
    """

    def __init__(self, egress: Egress, *, timeout_s: float = TIMEOUT_S, most_bytes: int = LARGEST_ANSWERS) -> None:
        self._egress = egress
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes

    async def list_tools(self, server: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Return the tools of `server`, a client's MCP tool, that it allows, as an `mcp_list_tools` item has them.

        Raises `ToolFailed`.
        """
        return await (await self._asking(server)).list_tools()

    async def call_tool(self, server: Mapping[str, Any], name: str, arguments: str) -> str:
        """Return what a tool answers to `arguments`, a JSON object. Raises `ToolFailed`, also when the tool does."""
        if isinstance(server.get("allowed_tools"), list) and not is_allowed(server, name):
            raise ToolFailed.of("tool_execution_error", "The tool is not one of those that are allowed.")
        given = _read_arguments(arguments)
        return await (await self._asking(server)).call_tool(name, given)

    async def _asking(self, server: Mapping[str, Any]) -> Asking:
        if not server.get("server_url"):
            raise ToolFailed.of(
                "http_error", "Connectors and tunnels are not served here, only a 'server_url' is.", 400
            )
        try:
            self._egress.check_url(server["server_url"])
        except InvalidValue as error:
            raise ToolFailed.of("http_error", error.message, 403) from None
        # In a thread, because what is imported the first time takes more than a second to load.
        return await asyncio.to_thread(self._begin, server)

    def _begin(self, server: Mapping[str, Any]) -> Asking:
        from services.realtime.tools.asking import Asking  # noqa: PLC0415

        return Asking(server, self._egress, timeout_s=self._timeout_s, most_bytes=self._most_bytes)


def _read_arguments(arguments: str) -> dict[str, Any]:
    try:
        given = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise ToolFailed.of("tool_execution_error", "The arguments of the tool are not a JSON object.")
    return given
