"""The way to MCP servers: every request of the MCP client goes through the vetted egress, within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2

from antiphon.egress import Egress
from antiphon.errors import AntiphonError

_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent"})
"""Headers that are for the egress to say."""


class VettedTransport(httpx2.AsyncBaseTransport):
    """Carries the requests of one conversation with a server, `most_bytes` of answers in all.

    `refusal` is why a request could not be carried, `status` how the last message was answered.
    """

    def __init__(self, egress: Egress, *, idle_s: float, most_bytes: int) -> None:
        self._egress = egress
        self._idle_s = idle_s
        self._bytes_left = most_bytes
        self.refusal: AntiphonError | None = None
        self.status: int | None = None
        self.too_large = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Carry a request. Raises `httpx2.TransportError`."""
        content = await request.aread()
        headers = {name.title(): value for name, value in request.headers.items() if name not in _OWN_HEADERS}
        stack = AsyncExitStack()
        try:
            answer = await stack.enter_async_context(
                self._egress.stream(
                    request.method, str(request.url), headers=headers, content=content, idle_s=self._idle_s
                )
            )
            if request.method == "POST":
                self.status = answer.status_code
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                # What arrives compressed could grow without bound when it is unpacked.
                raise httpx2.RemoteProtocolError("The answer is compressed.", request=request)
        except AntiphonError as error:
            self.refusal = error
            raise httpx2.ConnectError(error.message, request=request) from None
        except BaseException:
            await stack.aclose()
            raise
        body = _Body(self, answer.pieces, stack)
        return httpx2.Response(answer.status_code, headers=dict(answer.headers), stream=body, request=request)

    def take(self, piece: bytes) -> None:
        """Count what has come. Raises `httpx2.ReadError` when it is too much."""
        self._bytes_left -= len(piece)
        if self._bytes_left < 0:
            self.too_large = True
            raise httpx2.ReadError("The answer is too large.")


class _Body(httpx2.AsyncByteStream):
    def __init__(self, transport: VettedTransport, pieces: AsyncIterator[bytes], stack: AsyncExitStack) -> None:
        self._transport = transport
        self._pieces = pieces
        self._stack = stack

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                self._transport.take(piece)
                yield piece
        except AntiphonError as error:
            raise httpx2.ReadError(error.message) from None

    async def aclose(self) -> None:
        await self._stack.aclose()
