"""Questions to the process of a model, over its socket.

The process speaks HTTP/1.1 with server-sent events. One connection per question: closing it is how an answer is
broken off, and a connection to a socket on the same machine costs less than what a client library would add per token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_OK = 200
_EVENT = b"data: "
_END = b"[DONE]"
_LONGEST_LINE = 1 << 20


class Gone(Exception):
    """The process cannot be reached, or broke off."""


class Refused(Exception):
    """The process does not do what it was asked; `error` is its own account of why."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message") or f"status {status}")
        self.status = status
        self.error = error


@dataclass(frozen=True)
class LlamaSocket:
    """The socket of one process, and the key that opens it."""

    path: Path
    key: str

    async def ask(self, path: str, body: object | None = None) -> Any:
        """Return the answer to a question with a short one. Raises `Gone`, `Refused`."""
        async with self._exchange(path, body) as (reader, headers):
            return _read_json(await _body(reader, headers))

    async def stream(self, path: str, body: object) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of an answer as they come; closing the generator breaks it off. Raises `Gone`, `Refused`."""
        async with self._exchange(path, body) as (reader, _):
            rest = b""
            async for chunk in _chunks(reader):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if not line.startswith(_EVENT):
                        continue
                    data = line.removeprefix(_EVENT)
                    if data == _END:
                        return
                    event = _read_json(data)
                    if "error" in event:
                        raise Refused(event["error"].get("code", 500), event["error"])
                    yield event
            raise Gone("the answer has no end")

    @asynccontextmanager
    async def _exchange(
        self, path: str, body: object | None
    ) -> AsyncIterator[tuple[asyncio.StreamReader, dict[str, str]]]:
        """Ask, and give the answer's body and headers. What goes wrong with the connection meanwhile is `Gone`."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.path, limit=_LONGEST_LINE)
        except OSError as error:
            raise Gone(str(error)) from error
        try:
            writer.write(self._request(path, body))
            await writer.drain()
            status, headers = await _head(reader)
            if status != _OK:
                answer = _read_json(await _body(reader, headers))
                raise Refused(status, answer.get("error", {}))
            yield reader, headers
        except (OSError, EOFError, ValueError) as error:
            raise Gone(str(error)) from error
        finally:
            writer.transport.abort()

    def _request(self, path: str, body: object | None) -> bytes:
        content = b"" if body is None else orjson.dumps(body)
        head = (
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: model\r\nConnection: close\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status = int((await reader.readuntil(b"\r\n")).split(b" ", 2)[1])
    headers = {}
    while (line := (await reader.readuntil(b"\r\n")).strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return status, headers


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return b"".join([chunk async for chunk in _chunks(reader)])


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]


def _read_json(data: bytes) -> dict[str, Any]:
    value = orjson.loads(data)
    if not isinstance(value, (dict, list)):
        raise ValueError("not an object")
    return value  # type: ignore[return-value]
