"""The tools of MCP servers: listed, offered to the model, called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.errors import Cancelled
from antiphon.schemas import ErrorInfo, Tool, ToolChoice
from services.realtime.session.commands import CallTool, ListTools
from services.realtime.session.conversation_items import ConversationItems
from services.realtime.session.stage import Stage
from services.realtime.session.state import Item
from services.realtime.tools.approval import needs_approval


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool of an MCP server. `public` is the name by which the model knows it."""

    public: str
    server: str
    name: str
    description: str | None
    parameters: Mapping[str, Any]
    needs_approval: bool


class Toolbox:
    """What a model may call besides the functions of the client."""

    def __init__(self, stage: Stage, items: ConversationItems) -> None:
        self._stage = stage
        self._items = items

    # -- listing -------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask the servers that the session names and that were not asked yet."""
        known = {item.server for item in self._listings()}
        for server in self._servers():
            if server["server_label"] not in known:
                item = Item(
                    {
                        "id": self._stage.new_id("mcpl"),
                        "type": "mcp_list_tools",
                        "server_label": server["server_label"],
                        "tools": [],
                    },
                    server=server["server_label"],
                )
                self._items.add(item)
                self._stage.core.listing.append(item.wire["id"])
                self._stage.emit("mcp_list_tools.in_progress", item_id=item.wire["id"])
                self._stage.order(ListTools(item.wire["id"], server))

    def listed(self, item_id: str, tools: tuple[Mapping[str, Any], ...]) -> None:
        """A server has told its tools."""
        if self._listing_over(item_id):
            item = self._stage.touch(item_id)
            item.wire["tools"] = [dict(tool) for tool in tools]
            self._stage.emit("mcp_list_tools.completed", item_id=item_id)
            self._items.tell_done(item_id, self._items.before(item_id))

    def not_listed(self, item_id: str, error: ErrorInfo) -> None:
        """A server cannot be asked."""
        if self._listing_over(item_id):
            self._stage.emit("mcp_list_tools.failed", item_id=item_id)
            self._stage.complain(error)

    def resume(self) -> None:
        """Order again what was under way."""
        for item_id in list(self._stage.core.listing):
            item = self._stage.items.get(item_id)
            server = self._server(item.server) if item else None
            if server is not None:
                self._stage.order(ListTools(item_id, server))
            else:
                self.not_listed(item_id, Cancelled("The server is no longer a tool of the session.").info())

    # -- use -----------------------------------------------------------------------------------------------------------

    def find(self, public: str) -> ServerTool | None:
        """Return the tool of that name, if it is a server's."""
        return next((tool for tool in self._tools() if tool.public == public), None)

    def call(self, item: Item) -> None:
        """Have the tool of an `mcp_call` called."""
        server = self._server(item.server) or {"server_label": item.server}
        wire = item.wire
        self._stage.order(CallTool(wire["id"], server, wire["name"], wire["arguments"] or "{}"))

    def offered(self, settings: Mapping[str, Any]) -> tuple[Tool, ...]:
        """Return what a response may call."""
        functions = [
            Tool(
                name=tool["name"],
                description=tool.get("description"),
                parameters=tool.get("parameters") or {},
                strict=bool(tool.get("strict")),
            )
            for tool in settings["tools"]
            if tool["type"] == "function"
        ]
        labels = {tool["server_label"] for tool in settings["tools"] if tool["type"] == "mcp"}
        served = [
            Tool(name=tool.public, description=tool.description, parameters=dict(tool.parameters))
            for tool in self._tools()
            if tool.server in labels
        ]
        return (*functions, *served)

    def choice(self, settings: Mapping[str, Any]) -> ToolChoice:
        """Return whether a response is to call anything, and what."""
        choice = settings["tool_choice"]
        if isinstance(choice, str):
            return ToolChoice(mode=choice)
        if choice["type"] == "function":
            return ToolChoice(mode="required", names=(choice["name"],))
        names = tuple(
            tool.public
            for tool in self._tools()
            if tool.server == choice["server_label"] and choice.get("name") in (None, tool.name)
        )
        return ToolChoice(mode="required", names=names) if names else ToolChoice()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _tools(self) -> list[ServerTool]:
        taken = {tool["name"] for tool in self._stage.core.session.get("tools") or () if tool["type"] == "function"}
        tools = []
        for item in self._listings():
            label = item.server or ""
            server = self._server(label)
            if server is None:
                continue
            for tool in item.wire["tools"]:
                name = tool["name"]
                public = name if name not in taken else f"{label}_{name}"
                taken.add(public)
                tools.append(
                    ServerTool(
                        public,
                        label,
                        name,
                        tool.get("description"),
                        tool.get("input_schema") or {},
                        needs_approval(server, name, read_only=_only_reads(tool)),
                    )
                )
        return tools

    def _servers(self) -> list[Mapping[str, Any]]:
        return [tool for tool in self._stage.core.session.get("tools") or () if tool["type"] == "mcp"]

    def _server(self, label: str | None) -> Mapping[str, Any] | None:
        return next((server for server in self._servers() if server["server_label"] == label), None)

    def _listings(self) -> list[Item]:
        items = (self._stage.items[item_id] for item_id in self._stage.core.order)
        return [item for item in items if item.wire["type"] == "mcp_list_tools"]

    def _listing_over(self, item_id: str) -> bool:
        listing = self._stage.core.listing
        if item_id not in listing:
            return False
        listing.remove(item_id)
        return item_id in self._stage.items


def _only_reads(tool: Mapping[str, Any]) -> bool:
    return (tool.get("annotations") or {}).get("readOnlyHint") is True
