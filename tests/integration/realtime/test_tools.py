"""Tools of MCP servers, against servers of the official library and some that misbehave."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.egress import EgressSettings, open_egress
from services.realtime.tools.answers import LARGEST_LISTING
from services.realtime.tools.failures import ToolFailed
from services.realtime.tools.servers import ToolServers
from tests.integration.egress.conftest import Answer, host
from tests.mcp_server import build_server, running

pytestmark = pytest.mark.integration


class Gate:
    """Lets in who has the right headers."""

    def __init__(self, app: ASGIApp, wanted: dict[bytes, bytes]) -> None:
        self._app = app
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or all(headers.get(name) == value for name, value in self._wanted.items()):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"error": "unauthorized"}'})


@asynccontextmanager
async def opened(*, allow: tuple[str, ...] = ("127.0.0.0/8",), **options: Any) -> AsyncIterator[ToolServers]:
    async with open_egress(EgressSettings(egress_allow=allow)) as egress:
        yield ToolServers(egress, **options)


def told(caught: pytest.ExceptionInfo[ToolFailed]) -> tuple[str, int | None]:
    assert caught.value.info().message == caught.value.told["message"]
    return caught.value.told["type"], caught.value.told.get("code")


def tool(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "docs", "server_url": url, **more}


async def test_tools_are_listed_and_called_over_streamable_http(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(build_server().streamable_http_app()) as url, opened() as servers:
        server = tool(f"{url}/mcp")
        listed = {each["name"]: each for each in await servers.list_tools(server)}
        assert sorted(listed) == ["babble", "erase", "ponder", "search"]
        assert listed["search"]["description"] == "Search the docs."
        assert listed["search"]["input_schema"]["properties"]["query"]["type"] == "string"
        assert listed["search"]["annotations"] == {"readOnlyHint": True}
        assert await servers.call_tool(server, "search", '{"query": "a secret"}') == "found a secret"
    assert "secret" not in caplog.text


async def test_a_server_of_old_is_spoken_to_over_sse() -> None:
    async with running(build_server().sse_app()) as url, opened() as servers:
        server = tool(f"{url}/sse")
        assert "search" in {each["name"] for each in await servers.list_tools(server)}
        assert await servers.call_tool(server, "search", '{"query": "old"}') == "found old"


async def test_a_server_is_shown_what_proves_who_asks() -> None:
    wanted = {b"authorization": b"Bearer mine", b"x-team": b"blue"}
    async with running(Gate(build_server().streamable_http_app(), wanted)) as url, opened() as servers:
        server = tool(f"{url}/mcp", authorization="mine", headers={"X-Team": "blue"})
        assert await servers.call_tool(server, "search", '{"query": "x"}') == "found x"
        with pytest.raises(ToolFailed) as caught:
            await servers.list_tools(tool(f"{url}/mcp"))
        assert told(caught) == ("http_error", 401)


async def test_only_tools_that_are_allowed_are_listed_and_called() -> None:
    async with running(build_server().streamable_http_app()) as url, opened() as servers:
        for allowed in (["search"], {"tool_names": ["search"]}, {"read_only": True}):
            listed = await servers.list_tools(tool(f"{url}/mcp", allowed_tools=allowed))
            assert [each["name"] for each in listed] == ["search"]
        with pytest.raises(ToolFailed) as caught:
            await servers.call_tool(tool(f"{url}/mcp", allowed_tools=["search"]), "erase", '{"page": "1"}')
        assert told(caught) == ("tool_execution_error", None)


async def test_a_tool_that_fails_says_why() -> None:
    async with running(build_server().streamable_http_app()) as url, opened() as servers:
        server = tool(f"{url}/mcp")
        with pytest.raises(ToolFailed, match="erase") as caught:
            await servers.call_tool(server, "erase", '{"page": "1"}')
        assert told(caught) == ("tool_execution_error", None)
        with pytest.raises(ToolFailed, match="longer than") as caught:
            await servers.call_tool(server, "babble", '{"times": 100000}')
        assert told(caught) == ("tool_execution_error", None)
        for arguments in ("[]", "{", "1"):
            with pytest.raises(ToolFailed, match="not a JSON object"):
                await servers.call_tool(server, "search", arguments)


async def test_a_tool_that_takes_too_long_is_given_up() -> None:
    async with running(build_server().streamable_http_app()) as url, opened(timeout_s=1.0) as servers:
        began = time.monotonic()
        with pytest.raises(ToolFailed, match="in time") as caught:
            await servers.call_tool(tool(f"{url}/mcp"), "ponder", "")
        assert told(caught) == ("http_error", 504)
        assert time.monotonic() - began < 5


async def test_a_server_that_sends_too_much_is_given_up() -> None:
    async with running(build_server().streamable_http_app()) as url, opened(most_bytes=LARGEST_LISTING) as servers:
        with pytest.raises(ToolFailed, match="too large") as caught:
            await servers.call_tool(tool(f"{url}/mcp"), "babble", '{"times": 1000000}')
        assert told(caught)[0] == "protocol_error"


def answering(head: str, body: bytes = b"") -> Answer:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


async def hanging(_: bytes, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answering("500 Oops"), ("http_error", 500)),
        (answering("404 Not Found"), ("http_error", 404)),
        (answering("200 OK\r\nContent-Type: application/json", b"{not json"), ("protocol_error", -32700)),
        (answering("200 OK\r\nContent-Type: application/json", b'{"jsonrpc": "2.0"}'), ("protocol_error", -32700)),
        (
            answering("200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip", b"x"),
            ("protocol_error", None),
        ),
        (answering("200 OK\r\nContent-Type: text/html", b"<p>Hello.</p>"), ("protocol_error", -32600)),
        (answering("200 OK\r\nContent-Type: text/event-stream", b"data: what?\n\n"), ("protocol_error", None)),
        (answering("302 Found\r\nLocation: http://127.0.0.2:1/"), ("protocol_error", None)),
        (hanging, ("http_error", 504)),
    ],
    ids=["broken", "missing", "no json", "no answer", "compressed", "a page", "bad events", "elsewhere", "hanging"],
)
async def test_a_server_that_answers_badly_ends_in_an_error(answer: Answer, error: tuple[str, int | None]) -> None:
    async with host(answer) as served, opened(timeout_s=1.0) as servers:
        with pytest.raises(ToolFailed) as caught:
            await servers.list_tools(tool(f"http://127.0.0.1:{served.port}/mcp"))
    kind, code = told(caught)
    assert kind == error[0]
    assert code == (error[1] if error[1] is not None else code)
    assert isinstance(code, int)


async def test_private_addresses_are_never_asked() -> None:
    async with host(answering("200 OK")) as served, opened(allow=()) as servers:
        for url in (f"http://127.0.0.1:{served.port}/mcp", "https://127.0.0.1/mcp", "https://[::1]/mcp"):
            with pytest.raises(ToolFailed) as caught:
                await servers.list_tools(tool(url))
            assert told(caught) == ("http_error", 403)
        assert served.connections == 0


async def test_a_name_that_leads_to_a_private_address_is_never_asked() -> None:
    async def resolve(_: str, __: int) -> list[str]:
        return ["127.0.0.1"]

    async with host(answering("200 OK")) as served:
        async with open_egress(EgressSettings(egress_allow=("10.0.0.0/8",)), resolve=resolve) as egress:
            with pytest.raises(ToolFailed, match="not allowed") as caught:
                await ToolServers(egress).call_tool(tool(f"http://mcp.test:{served.port}/mcp"), "search", "{}")
        assert told(caught) == ("http_error", 403)
        assert served.connections == 0


async def test_a_server_that_nobody_can_reach_is_told_so() -> None:
    async with host(answering("200 OK")) as served:
        port = served.port
    async with opened() as servers:
        with pytest.raises(ToolFailed, match="cannot be reached") as caught:
            await servers.list_tools(tool(f"http://127.0.0.1:{port}/mcp"))
        assert told(caught) == ("http_error", 503)
        with pytest.raises(ToolFailed, match="not served here"):
            await servers.list_tools({"type": "mcp", "server_label": "mail", "connector_id": "connector_gmail"})
