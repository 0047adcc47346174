"""Request bodies: bounded while they are read, and read away when nobody wants them.

A client that is still sending when it is refused sees a reset connection instead of the refusal, unless somebody
reads on. So an answer goes out at once, and what still comes in is dropped, up to a limit in bytes and time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.errors import ContentTooLarge

MAX_DRAIN_BYTES = 64 * 2**20
MAX_DRAIN_S = 30.0


class BodyGuard:
    """ASGI middleware: a body larger than `limit_bytes` raises `ContentTooLarge` where it is read.

    `limits_bytes` are the limits of the paths that have one of their own, by how these end.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int, limits_bytes: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._limits_bytes = dict(limits_bytes or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request through a guarded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = (limit for end, limit in self._limits_bytes.items() if scope["path"].endswith(end))
        limit_bytes = next(own, self._limit_bytes)
        body = _GuardedBody(Headers(scope=scope), receive, limit_bytes=limit_bytes)

        async def send_then_drain(message: Message) -> None:
            if body.complete:
                await send(message)
            elif message["type"] == "http.response.start":
                if not body.worth_draining:
                    MutableHeaders(raw=message.setdefault("headers", []))["connection"] = "close"
                await send(message)
            elif message.get("more_body", False):
                await send(message)
            else:
                await send({**message, "more_body": True})
                await body.drain()
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, body.receive, send_then_drain)


class _GuardedBody:
    def __init__(self, headers: Headers, receive: Receive, *, limit_bytes: int) -> None:
        length = headers.get("content-length", "")
        self._declared = int(length) if length.isdecimal() else None
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._read = 0
        self._asks_first = headers.get("expect", "").lower() == "100-continue"
        self.complete = not self._declared and "transfer-encoding" not in headers

    @property
    def worth_draining(self) -> bool:
        """Whether what is left is known to be little enough to keep the connection."""
        return self._declared is not None and self._declared <= MAX_DRAIN_BYTES and not self._asks_first

    async def receive(self) -> Message:
        """Receive the next message. Raises `ContentTooLarge` before the first byte when the length is declared."""
        if not self.complete and self._declared is not None and self._declared > self._limit_bytes:
            raise too_large(self._limit_bytes, self._declared)
        message = await self._next()
        if self._read > self._limit_bytes:
            raise too_large(self._limit_bytes, self._read)
        return message

    async def drain(self) -> None:
        """Drop what still comes in."""
        if self._asks_first and not self._read:
            return
        try:
            async with asyncio.timeout(MAX_DRAIN_S):
                while not self.complete and self._read <= MAX_DRAIN_BYTES:
                    await self._next()
        except TimeoutError:
            return

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self.complete = self.complete or not message.get("more_body", False)
        else:
            self.complete = True
        return message


def too_large(limit_bytes: int, read: int) -> ContentTooLarge:
    """Return the error in the words that clients match on."""
    return ContentTooLarge(f"Maximum content size limit ({limit_bytes}) exceeded ({read} bytes read)")


async def chunks(receive: Receive) -> AsyncIterator[bytes]:
    """Yield a body piece by piece. Raises `ContentTooLarge`, and `ClientDisconnect` when the client goes away."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if data := message.get("body", b""):
            yield data


async def read_whole(receive: Receive, *, limit_bytes: int) -> bytes:
    """Return a body that is meant to be small. Raises `ContentTooLarge` and `ClientDisconnect`."""
    body = bytearray()
    async for data in chunks(receive):
        body += data
        if len(body) > limit_bytes:
            raise too_large(limit_bytes, len(body))
    return bytes(body)
