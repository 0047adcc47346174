"""Which tools of an MCP server may be called, and which of them without asking the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_allowed(server: Mapping[str, Any], tool_name: str, *, read_only: bool = False) -> bool:
    """Tell whether `server`, a client's MCP tool, offers `tool_name`. `read_only` is what the server says of it."""
    allowed = server.get("allowed_tools")
    if allowed is None or isinstance(allowed, Mapping):
        return not allowed or _matches(allowed, tool_name, read_only)
    return tool_name in allowed


def needs_approval(server: Mapping[str, Any], tool_name: str, *, read_only: bool = False) -> bool:
    """Tell whether the client wants to be asked before `tool_name` is called. `read_only` is what the server says.

    Without a rule it does. Of two filters that both match the stricter one holds; a tool that none of the two matches
    needs approval, and one that the only filter does not match is the opposite of what that filter says.
    """
    rule = server.get("require_approval") or "always"
    if isinstance(rule, str):
        return rule != "never"
    always, never = rule.get("always"), rule.get("never")
    if always is not None and _matches(always, tool_name, read_only):
        return True
    if never is not None:
        return not _matches(never, tool_name, read_only)
    return always is None


def _matches(wanted: Mapping[str, Any], tool_name: str, read_only: bool) -> bool:
    names, hint = wanted.get("tool_names"), wanted.get("read_only")
    if names is None and hint is None:
        return False
    return (names is None or tool_name in names) and (hint is None or read_only == hint)
