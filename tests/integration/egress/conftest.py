"""Hosts on loopback that answer as they are told, and names that lead to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request, given its head and body as they came."""


class Host:
    """A server of HTTP, or of what it pleases."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._answer = answer
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        self.connections += 1
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                self.requests.append(head + await reader.readexactly(length))
                await self._answer(self.requests[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        """End what is still open."""
        for writer in self._open:
            writer.transport.abort()


@asynccontextmanager
async def host(answer: Answer, *, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Host]:
    """Run a host on loopback."""
    served = Host(answer)
    server = await asyncio.start_server(served.serve, address, port)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        served.hang_up()
        await server.wait_closed()


def says(status: str, body: bytes = b"", **headers: str) -> Answer:
    """Return an answer that is always the same; underscores in the names of headers are hyphens."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, body, **headers))

    return answer


def response(status: str, body: bytes = b"", **headers: str) -> bytes:
    """Return a whole response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Names:
    """A name server: each name has its answers, given in turn, the last one again and again."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = {name.replace("_", "."): list(turns) for name, turns in answers.items()}

    async def __call__(self, name: str, port: int) -> Sequence[str]:
        """Return the addresses of a name, separated by spaces in its answer. Raises `OSError`."""
        self.asked.append(name)
        turns = self._answers.get(name)
        if turns is None:
            raise OSError("no such name")
        return (turns.pop(0) if len(turns) > 1 else turns[0]).split()


class Pieces:
    """A sink."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, piece: bytes) -> None:
        """Keep a piece."""
        self.data += piece
