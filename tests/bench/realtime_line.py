"""A realtime client that costs little: frames made beforehand, and the moments at which things were sent and came."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import soxr
from websockets.asyncio.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from antiphon.audio.samples import Samples
    from tests.bench.platform import Door

RATE = 24_000
CHUNK_MS = 40
_PER_MS = RATE // 1000
_WITHIN_S = 120.0

Event = dict[str, Any]


def pcm_of(samples: Samples) -> bytes:
    """Return 16 kHz samples as sessions take them: PCM, 16 bit, 24 kHz."""
    resampled = soxr.resample(samples, 16_000, RATE)
    return bytes((np.clip(resampled, -1, 1) * 32767).astype("<i2").tobytes())


def silence(length_ms: int) -> bytes:
    """Return silence."""
    return bytes(2 * _PER_MS * length_ms)


def frames_of(pcm: bytes, *, chunk_ms: int = CHUNK_MS) -> list[str]:
    """Return the messages that append sound."""
    size = 2 * _PER_MS * chunk_ms
    chunks = (pcm[start : start + size] for start in range(0, len(pcm), size))
    return [
        orjson.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}).decode()
        for chunk in chunks
    ]


@dataclass
class Line:
    """An open session. `came` holds its events but for sound, each with the moment it came."""

    socket: ClientConnection
    came: list[tuple[float, Event]] = field(default_factory=list)
    sent_s: list[float] = field(default_factory=list)
    """When each chunk of sound was sent."""
    chunk_ms: int = CHUNK_MS
    failed: BaseException | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self.socket.send(orjson.dumps({"type": kind, **fields}).decode())

    async def stream(self, frames: Sequence[str], *, pace: float = 1.0) -> None:
        """Append sound in real time, or `pace` times as fast; 0 for as fast as it is taken."""
        started = time.perf_counter()
        for number, frame in enumerate(frames):
            if pace:
                due = started + number * self.chunk_ms / 1000 / pace
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.sent_s.append(time.perf_counter())
            await self.socket.send(frame)

    async def until(self, kind: str, *, after: int = 0, within_s: float = _WITHIN_S) -> tuple[float, Event]:
        """Return the first event of a kind in `came` behind `after`, and when it came. Raises `RuntimeError`."""
        at = after
        async with asyncio.timeout(within_s):
            while True:
                for moment, event in self.came[at:]:
                    if event["type"] == kind:
                        return moment, event
                at = len(self.came)
                if self.failed is not None:
                    raise RuntimeError(f"the session ended before {kind}: {self.failed}")
                await self._news.wait()

    def sent_at(self, position_ms: float) -> float:
        """Return when the chunk that brought a moment of the sound was sent."""
        return self.sent_s[min(int((position_ms - 0.01) // self.chunk_ms), len(self.sent_s) - 1)]

    async def read(self) -> None:
        """Read until the connection ends."""
        try:
            while True:
                data = await self.socket.recv(decode=False)
                moment = time.perf_counter()
                event = orjson.loads(data)
                if event["type"] == "response.output_audio.delta":
                    event["delta"] = len(event["delta"]) * 3 // 4
                self.came.append((moment, event))
                news, self._news = self._news, asyncio.Event()
                news.set()
        except Exception as ended:
            self.failed = ended
            self._news.set()


@asynccontextmanager
async def open_line(
    door: Door, query: str, session: Mapping[str, Any], *, chunk_ms: int = CHUNK_MS
) -> AsyncIterator[Line]:
    """Open a session and set it up. Raises `RuntimeError` when it is refused."""
    url = f"{door.base_url.replace('http', 'ws', 1)}/realtime?{query}"
    headers = {"authorization": f"Bearer {door.api_key}"}
    async with connect(url, additional_headers=headers, max_size=None, compression=None, proxy=None) as socket:
        line = Line(socket, chunk_ms=chunk_ms)
        reading = asyncio.create_task(line.read())
        try:
            await line.until("session.created")
            await line.send("session.update", session=session)
            await line.until("session.updated")
            yield line
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
    for _, event in line.came:
        if event["type"] == "error":
            raise RuntimeError(f"refused: {event['error']}")
