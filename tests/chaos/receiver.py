"""A receiver of webhooks that fails, hangs and redirects, and remembers what it has accepted."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from openai import OpenAI

_MOODS = ("accept", "accept", "accept", "fail", "fail", "busy", "redirect", "hang", "hang up")


@dataclass
class Receiver:
    """Behaves badly the first times that it is told of an event, and well in the end."""

    secret: str
    chance: random.Random
    port: int = 0
    bad: int = 2
    """Times that an event may be refused."""
    accepted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Ids of events by the job they tell of."""
    seen: Counter[str] = field(default_factory=Counter)
    moods: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    _client: OpenAI = field(default_factory=lambda: OpenAI(api_key="none"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(30):
                while await self._exchange(reader, writer):
                    pass
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        event_id = headers["webhook-id"]
        self.seen[event_id] += 1
        mood = self.chance.choice(_MOODS) if self.seen[event_id] <= self.bad else "accept"
        self.moods[mood] += 1
        if mood == "hang":
            await asyncio.sleep(20)
            return False
        if mood == "hang up":
            return False
        status = {
            "accept": "200 OK",
            "fail": "500 Internal Server Error",
            "busy": "429 Too Many Requests\r\nretry-after: 1",
            "redirect": "302 Found\r\nlocation: http://127.0.0.1:1/",
        }[mood]
        if mood == "accept":
            self._note(body, headers, event_id)
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        return True

    def _note(self, body: bytes, headers: dict[str, str], event_id: str) -> None:
        try:
            self._client.webhooks.verify_signature(body, headers, secret=self.secret)
        except Exception as error:
            self.problems.append(f"{event_id}: {error}")
        event = json.loads(body)
        if event["id"] != event_id:
            self.problems.append(f"{event_id}: the body says {event['id']}")
        self.accepted[event["data"]["id"]].add(event_id)


@asynccontextmanager
async def receiving(secret: str, chance: random.Random) -> AsyncIterator[Receiver]:
    """Listen on a port of its own until left."""
    receiver = Receiver(secret, chance)
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
