"""The official SDK from the days of the beta: a turn in text, then one in speech."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import openai
from openai.types.beta.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter

BASE_URL, API_KEY, MODEL, SOUND = (os.environ[name] for name in ("BASE_URL", "API_KEY", "MODEL", "SOUND"))
GREETING = "Hello from the beta."
CHUNK_BYTES = 4800
QUIET = bytes(72_000)


class Session:
    """A connection and everything that came."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
        self.events: list[dict[str, Any]] = []

    async def until(self, kind: str) -> dict[str, Any]:
        """Read on to the next event of a kind."""
        while True:
            event = json.loads(await self._connection.recv_bytes())
            self.events.append(event)
            known = {**event, "session": {**event["session"], "model": None}} if "session" in event else event
            self._adapter.validate_python(known)
            if event["type"] == kind:
                return dict(event)


async def main() -> None:
    """Talk."""
    client = openai.AsyncOpenAI(
        base_url=BASE_URL, api_key=API_KEY, websocket_base_url=BASE_URL.replace("http", "ws", 1)
    )
    async with client.beta.realtime.connect(model=MODEL) as connection:
        session = Session(connection)
        await session.until("session.created")
        await connection.session.update(
            session={
                "modalities": ["text"],
                "input_audio_transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
            }
        )
        await session.until("session.updated")
        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello from the beta."}],
            }
        )
        await connection.response.create()
        await session.until("response.done")
        await connection.session.update(session={"modalities": ["text", "audio"]})
        sound = QUIET + await asyncio.to_thread(Path(SOUND).read_bytes) + QUIET
        for start in range(0, len(sound), CHUNK_BYTES):
            chunk = sound[start : start + CHUNK_BYTES]
            await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
            await asyncio.sleep(0.03)
        await session.until("response.done")
    print(json.dumps({"version": openai.__version__, "events": session.events}))


asyncio.run(main())
