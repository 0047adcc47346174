"""A receiver of webhooks on loopback, which answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from openai import OpenAI


@dataclass(frozen=True)
class Delivery:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    def is_signed_with(self, secret: str) -> bool:
        client = OpenAI(api_key="sk-none", base_url="http://127.0.0.1:9/v1")
        try:
            client.webhooks.verify_signature(self.body, self.headers, secret=secret)
        except Exception:
            return False
        return True


@dataclass(frozen=True)
class Answer:
    """What a receiver says, and after how long."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0


OK = Answer()
Script = Callable[[Delivery], Answer]


class Receiver:
    """Keeps what it is sent. `answer` may be exchanged at any time."""

    def __init__(self, answer: Script) -> None:
        self.answer = answer
        self.deliveries: list[Delivery] = []
        self.port = 0
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [delivery.id for delivery in self.deliveries]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                delivery = Delivery(first.split(" ")[1], headers, body)
                self.deliveries.append(delivery)
                await self._reply(delivery, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, delivery: Delivery, writer: asyncio.StreamWriter) -> None:
        answer = self.answer(delivery)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(answer.delay_s)
        finally:
            self.in_flight -= 1
        head = [f"HTTP/1.1 {answer.status} Said", f"Content-Length: {len(answer.body)}"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*head, "", ""]).encode() + answer.body)
        await writer.drain()


@asynccontextmanager
async def receiving(answer: Answer | Script = OK) -> AsyncIterator[Receiver]:
    """Run a receiver on loopback."""
    receiver = Receiver(answer if callable(answer) else lambda _: answer)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await receiver.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def in_turn(*answers: Answer) -> Script:
    """Answer with one after the other; the last one stands for all that follow."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
