"""A realtime client for tests: the official SDK's connection, and a log of everything that comes."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import openai
import orjson

from tests.realtime_events import Dialect, Event, check_event

WITHIN_S = 90.0
"""Real models on machines that do other work."""
RATE = 24_000

Matches = Callable[[Event], bool]


@dataclass
class Talk:
    """An open session. Every event that came is in `log`, in order, already held to the SDK's types."""

    connection: Any
    dialect: Dialect = "ga"
    opens: Dialect = "ga"
    """The dialect of the very first event: at some URLs the door cannot know better yet."""
    log: list[Event] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    at: int = 0
    """How far `until` has looked."""
    closed: BaseException | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: int = 0

    async def send(self, kind: str, **fields: Any) -> str:
        """Send a client event; return its `event_id`."""
        self._sent += 1
        event_id = str(fields.pop("event_id", f"event_c{self._sent}"))
        await self.connection.send({"type": kind, "event_id": event_id, **fields})
        return event_id

    async def update(self, **session: Any) -> Event:
        """Change the session; return `session.updated`."""
        await self.send("session.update", session={"type": "realtime", **session})
        return await self.until("session.updated")

    async def say(self, text: str, **fields: Any) -> Event:
        """Add a user's message and wait until it is there; return its `conversation.item.added`."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.send("conversation.item.create", item={**item, **fields})
        added = await self.until("conversation.item.added")
        await self.until("conversation.item.done")
        return added

    async def append(self, sound: bytes) -> None:
        """Append samples to the input buffer."""
        await self.connection.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()})

    async def hear(self, sound: bytes, *, chunk_ms: int = 40, pace: float = 1.0, bytes_per_s: int = 2 * RATE) -> None:
        """Append `sound` in chunks, at real time or `pace` times as fast."""
        size, started = bytes_per_s * chunk_ms // 1000, time.monotonic()
        for number, start in enumerate(range(0, len(sound), size)):
            due = started + number * chunk_ms / 1000 / pace
            await asyncio.sleep(max(due - time.monotonic(), 0))
            await self.append(sound[start : start + size])

    async def until(self, kind: str, *, where: Matches | None = None, within_s: float = WITHIN_S) -> Event:
        """Return the next event of a kind. The next `until` goes on behind it."""
        at = await self._look(kind, where, self.at, within_s)
        self.at = at + 1
        return self.log[at]

    async def find(
        self, kind: str, *, where: Matches | None = None, after: int = 0, within_s: float = WITHIN_S
    ) -> Event:
        """Return the first event of a kind in the log behind `after`, or wait for it; `until` goes on where it was."""
        return self.log[await self._look(kind, where, after, within_s)]

    async def all_of(self, kind: str, item_ids: Iterable[str]) -> None:
        """Wait for an event of a kind about each of some items."""
        for wanted in item_ids:
            await self.find(kind, where=lambda event, item_id=wanted: event["item_id"] == item_id)  # type: ignore[misc]

    async def until_closed(self, *, within_s: float = WITHIN_S) -> BaseException:
        """Wait for the end of the connection; return how it ended."""
        async with asyncio.timeout(within_s):
            while self.closed is None:
                await self._news.wait()
        return self.closed

    async def settled(self, *, quiet_s: float = 0.5) -> None:
        """Show that nothing more comes: a question that only the end of everything before can answer, then silence."""
        event_id = await self.send("response.cancel", response_id="resp_nobody")
        await self.find("error", where=lambda event: event["error"].get("event_id") == event_id)
        count = -1
        while count != len(self.log):
            count = len(self.log)
            await asyncio.sleep(quiet_s)

    def of(self, kind: str, *, after: int = 0, **fields: Any) -> list[Event]:
        """Return the events of a kind, with these fields."""
        return [
            event
            for event in self.log[after:]
            if event["type"] == kind and all(event.get(name) == value for name, value in fields.items())
        ]

    def types(self, *, after: int = 0, repeated: bool = False) -> list[str]:
        """Return the kinds of events in order, a run of the same kind as one unless `repeated`."""
        kinds = [event["type"] for event in self.log[after:]]
        return [kind for at, kind in enumerate(kinds) if repeated or at == 0 or kinds[at - 1] != kind]

    def text(self, response_id: str) -> str:
        """Return what a response wrote or said, from its deltas."""
        kinds = ("response.output_text.delta", "response.output_audio_transcript.delta")
        return "".join(event["delta"] for kind in kinds for event in self.of(kind, response_id=response_id))

    def sound(self, response_id: str) -> bytes:
        """Return the sound of a response, from its deltas, in the format of the session."""
        kind = "response.output_audio.delta" if self.dialect == "ga" else "response.audio.delta"
        events = self.of(kind, response_id=response_id)
        return b"".join(base64.b64decode(event["delta"], validate=True) for event in events)

    async def _look(self, kind: str, where: Matches | None, start: int, within_s: float) -> int:
        at = start
        try:
            async with asyncio.timeout(within_s):
                while True:
                    while at < len(self.log):
                        if self.log[at]["type"] == kind and (where is None or where(self.log[at])):
                            return at
                        at += 1
                    if self.closed is not None:
                        raise AssertionError(f"closed before {kind}: {self.closed!r}, after {self._latest()}")
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind} within {within_s:.0f} s, after {self._latest()}") from None

    def _latest(self) -> list[str]:
        return [_short(event) for event in self.log[-12:]]

    async def read(self) -> None:
        """Read until the connection ends. Runs beside the test."""
        try:
            while True:
                event = orjson.loads(await self.connection.recv_bytes())
                self.arrived_s.append(time.monotonic())
                self.log.append(event)
                self._tell()
        except Exception as ended:
            self.closed = ended
        self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits, each once."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def check(self) -> None:
        """Hold everything that came to the SDK's types, and to what is true of every session."""
        for number, event in enumerate(self.log):
            check_event(event, dialect=self.dialect if number else self.opens)
        ids = [event["event_id"] for event in self.log]
        assert len(ids) == len(set(ids)), "an event_id came twice"
        created = [event["response"]["id"] for event in self.of("response.created")]
        done = [event["response"]["id"] for event in self.of("response.done")]
        assert len(created) == len(set(created)), "a response was created twice"
        assert len(done) == len(set(done)), "a response was done twice"
        assert set(done) <= set(created), "a response was done that was not created"


def _short(event: Mapping[str, Any]) -> str:
    detail = event.get("error") or (event.get("response") or {}).get("status_details")
    return f"{event['type']} {detail}" if detail else str(event["type"])


@asynccontextmanager
async def talking(
    client: openai.AsyncOpenAI,
    model: str | None = None,
    *,
    dialect: Dialect = "ga",
    opens: Dialect | None = None,
    headers: Mapping[str, str] | None = None,
    **query: str,
) -> AsyncIterator[Talk]:
    """Open a session with the official SDK; at the end everything that came is checked."""
    if dialect == "ga":
        manager: Any = client.realtime.connect(
            model=model or openai.omit, extra_query=query, extra_headers=headers or {}
        )
    else:
        manager = client.beta.realtime.connect(model=model or "", extra_query=query, extra_headers=headers or {})
    async with manager as connection:
        talk = Talk(connection, dialect, opens or dialect)
        reading = asyncio.create_task(talk.read())
        try:
            yield talk
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
        talk.check()
