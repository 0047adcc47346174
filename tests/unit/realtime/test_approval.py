"""Which tools of an MCP server need approval, and which are offered at all."""

from __future__ import annotations

from typing import Any

import pytest

from services.realtime.tools.approval import is_allowed, needs_approval

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("rule", "searching", "erasing"),
    [
        (None, True, True),
        ("always", True, True),
        ("never", False, False),
        ({}, True, True),
        ({"never": {"tool_names": ["search"]}}, False, True),
        ({"never": {"read_only": True}}, False, True),
        ({"never": {}}, True, True),
        ({"always": {"tool_names": ["erase"]}}, False, True),
        ({"always": {"read_only": False}}, False, True),
        ({"always": {"tool_names": ["search"]}, "never": {"tool_names": ["search", "erase"]}}, True, False),
        ({"always": {"tool_names": ["other"]}, "never": {"tool_names": ["search"]}}, False, True),
        ({"never": {"tool_names": ["search", "erase"], "read_only": True}}, False, True),
    ],
)
def test_what_needs_approval(rule: Any, searching: bool, erasing: bool) -> None:
    server = {} if rule is None else {"require_approval": rule}
    assert needs_approval(server, "search", read_only=True) is searching
    assert needs_approval(server, "erase") is erasing


@pytest.mark.parametrize(
    ("allowed", "searching", "erasing"),
    [
        (None, True, True),
        ({}, True, True),
        ([], False, False),
        (["search"], True, False),
        ({"tool_names": ["erase"]}, False, True),
        ({"read_only": True}, True, False),
    ],
)
def test_what_is_offered(allowed: Any, searching: bool, erasing: bool) -> None:
    server = {"allowed_tools": allowed}
    assert is_allowed(server, "search", read_only=True) is searching
    assert is_allowed(server, "erase") is erasing
