"""The server: HTTP by hand, because most of what it is for is HTTP gone wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from tests.upstream.chunks import Chunk, chunks_of, completion_of
from tests.upstream.model import Refused, Said, answer, read_instructions

_HUGE_BYTES = 40 * 1024 * 1024
_ENDS = {"style-crlf": "\r\n", "style-cr": "\r"}


@dataclass
class Asked:
    """A request that came in. `hung_up` is set when the client leaves before the answer is whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    hung_up: bool = False
    answered: bool = False


@dataclass
class UpstreamServer:
    """What came in so far."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    connections: int = 0
    _times: Counter[str] = field(default_factory=Counter)

    @property
    def root_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """Where clients of OpenAI's API point."""
        return f"{self.root_url}/v1"

    @property
    def last(self) -> Asked:
        """The latest request."""
        return self.asked[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side has had enough of it."""
        self.connections += 1
        number = self.connections
        ahead = bytearray()
        try:
            while (asked := await _receive(reader, ahead, number)) is not None:
                if not await self._serve(asked, _Leaving(reader, ahead), _Wire(writer)):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve(self, asked: Asked, leaving: _Leaving, wire: _Wire) -> bool:
        """Answer one request; tell whether the connection serves on."""
        if asked.path == "/asked":
            seen = [asdict(each) for each in self.asked]
            if asked.method == "DELETE":
                self.asked.clear()
            await wire.send(200, seen)
            return True
        self.asked.append(asked)
        if asked.method == "GET" and asked.path.partition("?")[0].endswith("/models"):
            await wire.send(200, {"object": "list", "data": [{"id": "echo", "object": "model", "created": 1}]})
            return True
        if asked.method != "POST" or not asked.path.partition("?")[0].endswith("/chat/completions"):
            await wire.send(404, {"detail": "Not Found"})
            return True
        return await self._complete(asked, leaving, wire)

    async def _complete(self, asked: Asked, leaving: _Leaving, wire: _Wire) -> bool:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        answering = asyncio.ensure_future(self._answer(asked, wire))
        left = asyncio.ensure_future(leaving.wait())
        try:
            await asyncio.wait({answering, left}, return_when=asyncio.FIRST_COMPLETED)
            asked.answered = answering.done() and answering.exception() is None
            asked.hung_up = not asked.answered
            return asked.answered and answering.result()
        finally:
            self.in_flight -= 1
            for task in (answering, left):
                task.cancel()
            await asyncio.gather(answering, left, return_exceptions=True)

    async def _answer(self, asked: Asked, wire: _Wire) -> bool:
        body = asked.body if isinstance(asked.body, dict) else {}
        model = str(body.get("model", ""))
        faults = read_instructions(model)
        if (serves_on := await self._fail_early(asked, model, faults, wire)) is not None:
            return serves_on
        if "style-no-options" in faults and "stream_options" in body:
            await wire.fail(400, "Unrecognized request argument supplied: stream_options", param="stream_options")
            return True
        try:
            said = answer(body)
        except Refused as refused:
            await wire.fail(400, str(refused), param=refused.param, code=refused.code)
            return True
        if not body.get("stream") or "style-json" in faults:
            await wire.send(200, completion_of(said, model))
            return True
        counts = bool((body.get("stream_options") or {}).get("include_usage"))
        return await _stream(said, model, wire, counts=counts)

    async def _fail_early(self, asked: Asked, model: str, faults: dict[str, str], wire: _Wire) -> bool | None:
        """Do what goes wrong before the answer begins; None when nothing does."""
        if "fault-slow" in faults:
            await asyncio.sleep(float(faults["fault-slow"] or 60))
        self._times[model] += 1
        is_first = self._times[model] % 2 == 1
        key = asked.headers.get("authorization") or asked.headers.get("api-key")
        early: dict[str, tuple[int, str, dict[str, str], str | None]] = {
            "fault-429": (429, "Too many requests.", {"retry-after": "30"}, "rate_limit_exceeded"),
            "fault-401": (401, f"Incorrect API key provided: {key}", {}, "invalid_api_key"),
            "fault-context": (400, "The maximum context length is 8 tokens.", {}, "context_length_exceeded"),
            "fault-redirect": (302, "Elsewhere.", {"location": "http://127.0.0.1:9/"}, None),
        }
        for name, (status, message, headers, code) in early.items():
            if name in faults:
                await wire.fail(status, message, headers=headers, code=code)
                return True
        if "fault-status" in faults:
            number, _, wait = faults["fault-status"].partition(":")
            await wire.fail(int(number), f"This is {number}.", headers={"retry-after": wait} if wait else {})
            return True
        if "fault-once" in faults and is_first:
            await wire.fail(int(faults["fault-once"] or 500), "The first time it fails.")
            return True
        if "fault-hang-up" in faults or ("fault-hang-up-once" in faults and is_first):
            return False
        return await _mislead(faults, wire)


async def _mislead(faults: dict[str, str], wire: _Wire) -> bool | None:
    """Answer with something that is no completion; None when one is wanted."""
    if "fault-html" in faults:
        await wire.send(200, b"<!doctype html><title>Welcome</title>", media_type="text/html")
        return True
    if "fault-empty" in faults:
        await wire.begin()
        await wire.end()
        return True
    if "fault-huge" in faults:
        await wire.begin()
        for _ in range(_HUGE_BYTES // 65_536):
            await wire.write(b"data: " + b"x" * 65_530)
        return False
    if "fault-comments" in faults:
        await wire.begin()
        while True:
            await wire.write(b": still here\n\ndata: " + b'{"choices":[{"index":0,"delta":{"content":""}}]}\n\n')
            await asyncio.sleep(0.02)
    return None


async def _stream(said: Said, model: str, wire: _Wire, *, counts: bool) -> bool:
    style = said.instructions
    end = next((mark for name, mark in _ENDS.items() if name in style), "\n")
    wire.by_bytes = "style-bytes" in style
    pause_s = float(style["style-slow"] or 20) / 1000 if "style-slow" in style else 0.0
    faults = {name: int(style[name] or least) for name, least in _MIDWAY.items() if name in style}
    await wire.begin()
    tokens = 0
    for chunk, is_token in chunks_of(said, model, counts=counts):
        if is_token:
            for name, after in faults.items():
                if tokens >= after:
                    return await _fail_midway(name, wire)
            tokens += 1
            await asyncio.sleep(pause_s)
        if "style-comments" in style:
            await wire.write(f": and now{end}{end}".encode())
        await wire.write(_event(chunk, end))
    if "style-no-done" not in style:
        await wire.write(f"data: [DONE]{end}{end}".encode())
    await wire.end()
    return True


_MIDWAY = {
    "fault-silent": 3,
    "fault-cut": 3,
    "fault-end": 3,
    "fault-error": 3,
    "fault-malformed": 0,
    "fault-type": 0,
}
"""What goes wrong in the middle, and after how many tokens unless the name says."""


async def _fail_midway(name: str, wire: _Wire) -> bool:
    if name == "fault-silent":
        await asyncio.Event().wait()
    if name == "fault-cut":
        return False
    if name == "fault-error":
        error = {"message": "The engine has died.", "type": "server_error", "param": None, "code": 503}
        await wire.write(b"data: " + orjson.dumps({"error": error}) + b"\n\n")
    if name == "fault-malformed":
        await wire.write(b'data: {"choices":[{"delta":{"con\n\n')
    if name == "fault-type":
        await wire.write(b'data: {"choices":[{"delta":{"content":17}}]}\n\n')
    await wire.end()
    return True


def _event(chunk: Chunk, end: str) -> bytes:
    return b"data: " + orjson.dumps(chunk) + f"{end}{end}".encode()


class _Wire:
    """Writes one response."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.by_bytes = False

    async def send(
        self, status: int, content: Any, *, media_type: str = "", headers: dict[str, str] | None = None
    ) -> None:
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        lines = [f"HTTP/1.1 {status} Said", f"content-type: {media_type or 'application/json'}"]
        lines += [f"content-length: {len(body)}", "set-cookie: replica=1; path=/"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self._put("\r\n".join([*lines, "", ""]).encode() + body)

    async def fail(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": param, "code": code}
        await self.send(status, {"error": error}, headers=headers)

    async def begin(self) -> None:
        await self._put(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    async def write(self, data: bytes) -> None:
        for part in (data[at : at + 1] for at in range(len(data))) if self.by_bytes else (data,):
            await self._put(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    async def end(self) -> None:
        await self._put(b"0\r\n\r\n")

    async def _put(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


@dataclass
class _Leaving:
    """Sees the client leave. What it says instead, its next request, is kept in `ahead`."""

    reader: asyncio.StreamReader
    ahead: bytearray

    async def wait(self) -> None:
        while byte := await self.reader.read(1):
            self.ahead += byte


async def _receive(reader: asyncio.StreamReader, ahead: bytearray, connection: int) -> Asked | None:
    try:
        head = (bytes(ahead) + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    ahead.clear()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    body = raw.decode(errors="replace")
    with suppress(orjson.JSONDecodeError):
        body = orjson.loads(raw)
    return Asked(method, path, headers, body, connection)


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[UpstreamServer]:
    """Serve on loopback until left."""
    upstream = UpstreamServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):
            await upstream.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=256 * 1024)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
