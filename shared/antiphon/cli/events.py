"""Read a stream of server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from antiphon.cli.failure import CommandFailed


async def read_events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON object of each event until `[DONE]`. Raises `CommandFailed` when the stream reports an error."""
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data.startswith("[DONE]"):
            return
        event: dict[str, Any] = json.loads(data)
        if error := event.get("error"):
            raise CommandFailed(str(error.get("message") if isinstance(error, dict) else error))
        yield event
