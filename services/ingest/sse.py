"""Server-sent events, as the official clients read them."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.types import Send

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """Writes events to one response; the first one sends its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def emit(self, event: dict[str, Any], *, name: str | None = None, id: str | None = None) -> None:
        """Send one event; `id` is what a client comes back with after a lost connection."""
        head = (f"event: {name}\n" if name else "") + (f"id: {id}\n" if id else "")
        await self._write(head.encode() + b"data: " + orjson.dumps(event) + b"\n\n")

    async def ping(self) -> None:
        """Send a comment, which clients skip and proxies take for life."""
        await self._write(b": ping\n\n")

    async def close(self, *, done: bool) -> None:
        """End the response, with the `[DONE]` that clients wait for unless it failed."""
        await self._write(b"data: [DONE]\n\n" if done else b"", more_body=False)

    async def _write(self, data: bytes, *, more_body: bool = True) -> None:
        if not self.started:
            self.started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        await self._send({"type": "http.response.body", "body": data, "more_body": more_body})
