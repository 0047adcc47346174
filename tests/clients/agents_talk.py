"""openai-agents: a spoken answer to a text, a function, an interruption, and a turn in speech."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

BASE_URL, API_KEY, MODEL, SOUND = (os.environ[name] for name in ("BASE_URL", "API_KEY", "MODEL", "SOUND"))
CHUNK_BYTES = 4800
QUIET = bytes(72_000)


class Watched:
    """A session of the runner, and what it told."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.errors: list[str] = []
        self.transcripts: list[str] = []
        self.kinds: list[str] = []
        self.sound_bytes = 0

    async def until(self, is_last: Callable[[Any], bool], *, times: int = 1) -> None:
        """Read events until one is the last, so many times."""
        async for event in self.session:
            self.kinds.append(event.type)
            if event.type == "error":
                self.errors.append(str(event.error))
            elif event.type == "audio":
                self.sound_bytes += len(event.audio.data)
            elif event.type == "raw_model_event" and event.data.type == "input_audio_transcription_completed":
                self.transcripts.append(event.data.transcript)
            elif event.type == "raw_model_event" and event.data.type in ("exception", "error"):
                self.errors.append(str(event.data))
            times -= is_last(event)
            if times == 0:
                return


def is_turn_over(event: Any) -> bool:
    """Tell whether an answer is at its end."""
    return bool(event.type == "raw_model_event" and event.data.type == "turn_ended")


def is_heard(event: Any) -> bool:
    """Tell whether the user's words are known."""
    return bool(event.type == "raw_model_event" and event.data.type == "input_audio_transcription_completed")


async def main() -> None:
    """Talk."""
    called: list[str] = []

    @function_tool  # type: ignore[untyped-decorator, unused-ignore]
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        called.append(city)
        return "sunny"

    agent = RealtimeAgent(name="assistant", instructions="Be brief.", tools=[get_weather])
    settings = {
        "model_name": MODEL,
        "audio": {
            "input": {
                "transcription": {"model": "gpt-4o-mini-transcribe"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 400, "interrupt_response": True},
            }
        },
    }
    url = f"{BASE_URL.replace('http', 'ws', 1)}/realtime?model={MODEL}"
    runner = RealtimeRunner(agent, config={"model_settings": settings})
    async with await runner.run(model_config={"api_key": API_KEY, "url": url}) as session:
        watched = Watched(session)
        await session.send_message("Hello there.")
        await watched.until(is_turn_over)
        spoken_bytes = watched.sound_bytes
        await session.send_message("Please get weather of Paris.")
        await watched.until(is_turn_over, times=2)
        await session.send_message("Say something long: " + "one two three four five, " * 20)
        await watched.until(lambda event: event.type == "audio")
        await session.interrupt()
        await watched.until(is_turn_over)
        sound = await asyncio.to_thread(Path(SOUND).read_bytes)
        speaking = asyncio.create_task(speak(session, QUIET + sound + QUIET))
        await watched.until(is_heard)
        await watched.until(is_turn_over)
        await speaking
    print(
        json.dumps(
            {
                "spoken_bytes": spoken_bytes,
                "called": called,
                "errors": watched.errors,
                "transcripts": watched.transcripts,
                "kinds": sorted(set(watched.kinds)),
            }
        )
    )


async def speak(session: Any, sound: bytes) -> None:
    """Send sound somewhat faster than it was spoken."""
    for start in range(0, len(sound), CHUNK_BYTES):
        await session.send_audio(sound[start : start + CHUNK_BYTES])
        await asyncio.sleep(0.03)


asyncio.run(asyncio.wait_for(main(), 90))
