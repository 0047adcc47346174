"""What went wrong with a tool, in the shape that the items of the protocol have for it."""

from __future__ import annotations

from typing import Any, Literal, Self

from antiphon.errors import UpstreamFailed

LONGEST_MESSAGE = 4096


class ToolFailed(UpstreamFailed):
    """A tool was called or listed in vain. `told` is the `error` of an `mcp_call`."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told["message"])
        self.told = told

    @classmethod
    def of(
        cls,
        kind: Literal["protocol_error", "tool_execution_error", "http_error"],
        message: str,
        code: int | None = None,
    ) -> Self:
        """Return the failure; all kinds but that of the tool itself have a code."""
        told: dict[str, Any] = {"type": kind, "message": message[:LONGEST_MESSAGE]}
        return cls(told if code is None else told | {"code": code})
