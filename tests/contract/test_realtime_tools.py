"""Tools of MCP servers in a session: listed, approved by the client, called, and answered with."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.contract.realtime_client import talking
from tests.contract.realtime_models import ECHO
from tests.mcp_server import build_server, running

pytestmark = [pytest.mark.contract, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


def docs(url: str, **rules: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "docs", "server_url": f"{url}/mcp", "allowed_tools": ["search"], **rules}


async def test_a_tool_of_a_server_is_called_once_its_client_allows_it(realtime: openai.AsyncOpenAI) -> None:
    async with running(build_server().streamable_http_app()) as url, talking(realtime, ECHO) as talk:
        await talk.until("session.created")
        updated = await talk.update(output_modalities=["text"], tools=[docs(url, authorization="a secret")])
        assert "a secret" not in str(updated)
        listed = await talk.until("conversation.item.done")
        assert [tool["name"] for tool in listed["item"]["tools"]] == ["search"]
        await talk.say("Look it up.")
        await talk.send("response.create", response={"tool_choice": "required"})
        asked = (await talk.until("response.done"))["response"]["output"]
        assert [item["type"] for item in asked] == ["mcp_approval_request"]
        approval = {"type": "mcp_approval_response", "approval_request_id": asked[0]["id"], "approve": True}
        await talk.send("conversation.item.create", item=approval)
        await talk.until("response.mcp_call.in_progress")
        await talk.until("response.mcp_call.completed")
        call, message = (await talk.until("response.done"))["response"]["output"]
        assert call["output"].startswith("found ")
        assert message["content"][0]["text"]


async def test_a_server_that_cannot_be_reached_is_told_and_the_session_goes_on(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.until("session.created")
        await talk.update(output_modalities=["text"], tools=[docs("http://127.0.0.1:9", require_approval="never")])
        await talk.until("mcp_list_tools.failed")
        await talk.say("Hello?")
        await talk.send("response.create")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
