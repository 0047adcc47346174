"""A door that is told to stop: it says so, lets nobody down who is in, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from antiphon.audio.encode import wav_header
from antiphon.errors import Unavailable
from antiphon.schemas import Outcome
from tests.eventually import eventually
from tests.integration.ingest.conftest import KEY, OpenDoor, Scribe, Serve
from tests.integration.ingest.realtime_client import dial, receive
from tests.integration.ingest.realtime_host import working
from tests.servers import Server

pytestmark = pytest.mark.integration

DELAY = timedelta(seconds=1)


@dataclass
class Line:
    """A connection that a test keeps."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str, body: bytes = b"", *, content_type: str = "application/json") -> None:
        self.writer.write(request(path, body, content_type=content_type))
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next answer."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self.rest()
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(10):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.partition(": ") for line in lines if line)
        return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}

    async def rest(self) -> bytes:
        """Return what is left of a body in chunks."""
        body = b""
        async with asyncio.timeout(10):
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        return body

    async def closed(self, *, within_s: float) -> None:
        """Wait until the door has closed the connection, in order and without a word."""
        async with asyncio.timeout(within_s):
            assert await self.reader.read() == b""


def request(path: str, body: bytes = b"", *, content_type: str = "application/json") -> bytes:
    head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nhost: door\r\nauthorization: Bearer {KEY}\r\n"
    return f"{head}content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def connected(port: int | None) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


def spoken(*, stream: bool = False) -> tuple[bytes, str]:
    """Return the form of a transcription, and its type."""
    fields = {"model": "whisper-1" if not stream else "gpt-4o-transcribe"} | ({"stream": "true"} if stream else {})
    parts = [f'--b\r\ncontent-disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()]
    file = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav_header() + bytes(4_800)
    return b"".join(parts) + file + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


async def transcribe(line: Line, *, stream: bool = False) -> None:
    body, content_type = spoken(stream=stream)
    await line.ask("/v1/audio/transcriptions", body, content_type=content_type)


async def test_a_door_that_leaves_is_not_ready_and_still_serves(open_door: OpenDoor) -> None:
    async with open_door(drain_delay=DELAY, lanes=()) as door, connected(door.client.base_url.port) as known:
        await known.ask("/readyz")
        status, headers, _ = await known.answer()
        assert (status, headers.get("connection")) == (200, None)
        door.stop.set()
        async with connected(door.client.base_url.port) as new:
            await new.ask("/readyz")
            status, headers, body = await new.answer()
            assert (status, headers["connection"], orjson.loads(body)) == (503, "close", {"status": "draining"})
            await new.closed(within_s=0.5)
        async with connected(door.client.base_url.port) as new:
            await new.ask("/v1/models")
            status, headers, _ = await new.answer()
            assert (status, headers["connection"]) == (200, "close")
        # Who knows of nothing may ask once more on the connection it has, and is told.
        await known.ask("/v1/models")
        status, headers, _ = await known.answer()
        assert (status, headers["connection"]) == (200, "close")
        await known.closed(within_s=0.5)

        async def refuses() -> bool:
            try:
                async with connected(door.client.base_url.port):
                    return False
            except ConnectionError:
                return True

        await eventually(refuses, within_s=3)


async def test_idle_connections_are_closed_in_the_end(open_door: OpenDoor) -> None:
    async with (
        open_door(drain_delay=timedelta(seconds=0.3)) as door,
        connected(door.client.base_url.port) as used,
        connected(door.client.base_url.port) as unused,
    ):
        await used.ask("/healthz")
        await used.answer()
        door.stop.set()
        began = time.monotonic()
        await used.closed(within_s=2)
        await unused.closed(within_s=2)
        assert time.monotonic() - began >= 0.25


async def test_requests_that_run_are_finished(open_door: OpenDoor, transcriber: Serve) -> None:
    scribe = Scribe(held=True)
    async with (
        open_door() as door,
        transcriber(door, scribe),
        connected(door.client.base_url.port) as whole,
        connected(door.client.base_url.port) as streamed,
        connected(door.client.base_url.port) as half,
    ):
        await eventually(lambda: door.bus.attended("transcribe"), within_s=5)
        await transcribe(whole)
        await eventually(lambda: len(scribe.begun) == 1, within_s=5)
        await transcribe(streamed, stream=True)
        await eventually(lambda: len(scribe.begun) == 2, within_s=5)
        scribe.say(2)
        status, headers = await streamed.head()
        assert (status, headers.get("connection")) == (200, None)
        half.writer.write(request("/v1/models")[:20])
        await door.client.get("/healthz")
        door.stop.set()
        await asyncio.sleep(0.4)
        half.writer.write(request("/v1/models")[20:])
        status, headers, _ = await half.answer()
        assert (status, headers["connection"]) == (200, "close")
        scribe.say(4)
        status, headers, body = await whole.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert orjson.loads(body)["text"] == "Hello there."
        assert (await streamed.rest()).endswith(b"data: [DONE]\n\n")
        await streamed.closed(within_s=2)


async def test_a_client_that_was_told_nothing_is_served_once_more(open_door: OpenDoor, transcriber: Serve) -> None:
    scribe = Scribe(held=True)
    async with (
        open_door(drain_delay=DELAY) as door,
        transcriber(door, scribe),
        connected(door.client.base_url.port) as line,
    ):
        await eventually(lambda: door.bus.attended("transcribe"), within_s=5)
        await transcribe(line, stream=True)
        scribe.say(1)
        _, headers = await line.head()
        assert "connection" not in headers
        door.stop.set()
        await asyncio.sleep(DELAY.total_seconds() + 0.3)
        scribe.say(1)
        await line.rest()
        # No new connection is let in any more, but this one could not know that it was the last time.
        await line.ask("/v1/models")
        status, headers, _ = await line.answer()
        assert (status, headers["connection"]) == (200, "close")


async def test_a_request_whose_time_is_over_is_told_to_come_again(
    open_door: OpenDoor, transcriber: Serve, server: Server
) -> None:
    scribe = Scribe(held=True)
    async with (
        open_door(grace=timedelta(seconds=0.3)) as door,
        transcriber(door, scribe),
        connected(door.client.base_url.port) as line,
    ):
        await eventually(lambda: door.bus.attended("transcribe"), within_s=5)
        await transcribe(line)
        await eventually(lambda: scribe.begun, within_s=5)
        door.stop.set()
        status, headers, body = await line.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert orjson.loads(body)["error"]["code"] == Unavailable.code
        # Nobody waits for it any more.
        result = f"result:{{transcribe}}:{scribe.begun[0].id}"
        told = await eventually(lambda: server.do("GET", result), within_s=5)
        assert Outcome.model_validate_json(told).status == "cancelled"


async def test_a_second_order_ends_everything_at_once(open_door: OpenDoor, transcriber: Serve) -> None:
    long = timedelta(minutes=5)
    scribe = Scribe(held=True)
    async with (
        open_door(drain_delay=long, grace=long, realtime={"realtime_grace": long}) as door,
        transcriber(door, scribe),
        working(door.bus) as worker,
        dial(door) as client,
        connected(door.client.base_url.port) as line,
    ):
        await receive(client)
        await transcribe(line)
        await eventually(lambda: scribe.begun, within_s=5)
        door.stop.make()
        await asyncio.sleep(0.2)
        door.stop.make()
        began = time.monotonic()
        status, _, _ = await line.answer()
        assert status == 503
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        await eventually((await worker.one()).has_left, within_s=5)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("signals", [1, 2])
async def test_the_process_ends_in_order(server: Server, signals: int) -> None:
    settings: dict[str, Any] = {"ANTIPHON_DRAIN_DELAY": "0.2" if signals == 1 else "60", "ANTIPHON_LANES": "[]"}
    async with process(server, **settings) as (door, port), connected(port) as line:
        await line.ask("/healthz")
        await line.answer()
        for _ in range(signals):
            door.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
        await line.closed(within_s=5)
        assert await asyncio.to_thread(door.wait, 5) == 0


@asynccontextmanager
async def process(server: Server, **environment: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a door."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment |= {"REDIS_URL": server.url, "ANTIPHON_API_KEYS": KEY, "ANTIPHON_PORT": str(port)}
    door = subprocess.Popen([sys.executable, "-m", "services.ingest"], env=os.environ | environment)
    try:

        async def listens() -> bool:
            assert door.poll() is None
            try:
                async with connected(port):
                    return True
            except ConnectionError:
                return False

        await eventually(listens, within_s=30)
        yield door, port
    finally:
        door.kill()
        await asyncio.to_thread(door.wait)
