"""An MCP server of the official library, for tests that have tools called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from starlette.types import ASGIApp

from tests.eventually import eventually


def build_server() -> MCPServer:
    server = MCPServer("docs")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def search(query: str) -> str:
        """Search the docs."""
        return f"found {query}"

    @server.tool()
    def erase(page: str) -> str:
        raise ValueError(f"cannot erase {page}")

    @server.tool()
    def babble(times: int) -> str:
        return "word " * times

    @server.tool()
    async def ponder() -> str:
        await asyncio.sleep(60)
        return "at last"

    return server


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[str]:
    """Serve `app` on loopback."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
