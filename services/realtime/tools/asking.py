"""Conversations with MCP servers. To import this takes a second and 50 MB, which only who meets such a server pays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import httpx2
import mcp_types as mcp
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from opentelemetry import trace

from antiphon.egress import Egress
from services.realtime.tools.answers import told_output, told_tools
from services.realtime.tools.exchange import VettedTransport
from services.realtime.tools.failures import ToolFailed

MOST_PAGES = 20

_GOODBYE_S = 2.0
"""How long a server may take to hear that it is needed no more."""
_TRANSPORT_MISSED = frozenset(range(400, 500)) - {401, 403, 429}
"""Answers of a server that may be one of old, which speaks over SSE."""
_STAND_INS = frozenset({"Server returned an error response", "Not Found", "Session terminated"})
"""What the client library says where a server has given a status and nothing else."""
_UNRECORDED = trace.NonRecordingSpan(
    trace.SpanContext(trace_id=1, span_id=1, is_remote=False, trace_flags=trace.TraceFlags(0))
)

AnswerT = TypeVar("AnswerT")
Use = Callable[[ClientSession], Awaitable[AnswerT]]

# What is said between a session and its tools is nobody else's business; the libraries would log it.
for _name in ("mcp", "client", "httpx2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Asking:
    """One question to `server`, a client's MCP tool: over streamable HTTP, and over SSE if it knows no better."""

    def __init__(self, server: Mapping[str, Any], egress: Egress, *, timeout_s: float, most_bytes: int) -> None:
        self._server = server
        self._url: str = server["server_url"]
        self._headers = dict(server.get("headers") or {})
        if server.get("authorization"):
            self._headers["Authorization"] = f"Bearer {server['authorization']}"
        self._transport = VettedTransport(egress, idle_s=timeout_s, most_bytes=most_bytes)
        self._timeout_s = timeout_s

    async def list_tools(self) -> tuple[dict[str, Any], ...]:
        """Return the tools of the server that its client allows. Raises `ToolFailed`."""
        return told_tools(await self._ask(_list_tools), self._server)

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> str:
        """Return what a tool answers. Raises `ToolFailed`."""
        return told_output(await self._ask(lambda session: _call_tool(session, name, arguments)))

    async def _ask(self, use: Use[AnswerT]) -> AnswerT:
        answers: list[AnswerT] = []
        try:
            async with asyncio.timeout(self._timeout_s) as limit:

                async def ask(session: ClientSession) -> None:
                    answers.append(await use(session))
                    limit.reschedule(asyncio.get_running_loop().time() + _GOODBYE_S)

                with trace.use_span(_UNRECORDED, record_exception=False, set_status_on_exception=False):
                    await self._converse(ask)
        except Exception as error:
            # Whatever happens while one takes leave does not matter any more.
            if not answers:
                raise self._failure(error) from None
        return answers[0]

    async def _converse(self, use: Use[None]) -> None:
        try:
            async with self._http_client(self._headers) as http_client:
                await _speak(streamable_http_client(self._url, http_client=http_client), "auto", use)
        except Exception:
            if self._transport.status not in _TRANSPORT_MISSED:
                raise
            streams = sse_client(self._url, headers=self._headers, httpx_client_factory=self._http_client)
            await _speak(streams, "legacy", use)

    def _http_client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        # The library's timeouts are not used: time is limited for the conversation as a whole.
        return httpx2.AsyncClient(transport=self._transport, headers=headers, timeout=None, trust_env=False)

    def _failure(self, error: BaseException) -> ToolFailed:
        """Return what to tell of what a conversation ended with."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, ToolFailed):
            return error
        if isinstance(error, TimeoutError):
            return ToolFailed.of("http_error", "The MCP server did not answer in time.", 504)
        return self._not_carried(error) or _not_understood(error)

    def _not_carried(self, error: BaseException) -> ToolFailed | None:
        transport = self._transport
        if transport.too_large:
            return ToolFailed.of("protocol_error", "The answer of the MCP server is too large.", mcp.INVALID_REQUEST)
        if transport.refusal is not None:
            return ToolFailed.of("http_error", transport.refusal.message, 503 if transport.refusal.retryable else 403)
        status = error.response.status_code if isinstance(error, httpx2.HTTPStatusError) else transport.status
        if status is None or status < 400 or _says_why(error, status):
            return None
        return ToolFailed.of("http_error", f"The MCP server answered {status}.", status)


async def _speak(streams: AbstractAsyncContextManager[Any], mode: str, use: Use[None]) -> None:
    async with Client(streams, mode=mode, cache=None) as client:
        await use(client.session)


async def _list_tools(session: ClientSession) -> list[mcp.Tool]:
    tools: list[mcp.Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await session.list_tools(params=mcp.PaginatedRequestParams(cursor=cursor) if cursor else None)
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            return tools
    raise ToolFailed.of("protocol_error", "The MCP server has more tools than fit.", mcp.INVALID_REQUEST)


async def _call_tool(session: ClientSession, name: str, arguments: dict[str, Any]) -> mcp.CallToolResult:
    # Not the session's own `call_tool`: it checks the answer against a schema of the server's making, and a pattern
    # in there may keep the event loop busy for ever.
    request = mcp.CallToolRequest(params=mcp.CallToolRequestParams(name=name, arguments=arguments))
    try:
        return await session.send_request(request, mcp.CallToolResult)
    except MCPError as error:
        if error.code != mcp.HEADER_MISMATCH:
            raise
    # Some arguments have to be sent as headers, too, and the listing says which.
    await _list_tools(session)
    return await session.send_request(request, mcp.CallToolResult)


def _says_why(error: BaseException, status: int) -> bool:
    """Tell whether a server has said more than a status: errors of JSON-RPC come with these two."""
    return isinstance(error, MCPError) and status in {400, 404} and error.message not in _STAND_INS


def _not_understood(error: BaseException) -> ToolFailed:
    if isinstance(error, MCPError) and error.code != mcp.PARSE_ERROR:
        return ToolFailed.of("protocol_error", error.message, error.code)
    return ToolFailed.of("protocol_error", "The answer of the MCP server cannot be understood.", mcp.PARSE_ERROR)
