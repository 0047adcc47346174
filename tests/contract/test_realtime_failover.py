"""The worker that holds a session is killed: on the same socket everything goes on, and nothing is told twice."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import openai
import psutil
import pytest

from tests.contract.chat_server import PlatformServer
from tests.contract.chat_talk import MISHEARD, misheard, transcribed
from tests.contract.conftest import Served
from tests.contract.realtime_client import Talk, talking
from tests.contract.realtime_models import ECHO, LATE, SLOW
from tests.contract.realtime_sounds import spoken_turn
from tests.eventually import eventually

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240), pytest.mark.usefixtures("upstream")]

START_S = 60.0
AWAY_S = 1.0
"""How long a session may be without a worker."""
_LANE = "jobs:{realtime}:hi"
_HELD = """
local held = {}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], 'workers', '-', '+', 100)) do
    local entry = redis.call('XRANGE', KEYS[1], pending[1], pending[1])[1]
    held[#held + 1] = {pending[2], unpack(entry and entry[2] or {})}
end
return held
"""
"""Who holds which entries of the lane."""
LISTENS = {"type": "server_vad", "silence_duration_ms": 400}


async def holder(platform: Served, session_id: str) -> psutil.Process:
    """Return the worker process that holds a session."""
    assert platform.state is not None
    server = PlatformServer(platform.state)

    def look() -> psutil.Process | None:
        for consumer, *fields in server.do("EVAL", _HELD, 1, _LANE):
            if session_id.encode() in b"".join(fields):
                found = re.search(rb"-(\d+)-[0-9a-f]+$", consumer)
                assert found is not None, consumer
                return psutil.Process(int(found[1]))
        return None

    process = await eventually(look, within_s=20)
    assert "services.realtime" in " ".join(process.cmdline())
    return process


async def await_peers(realtime: openai.AsyncOpenAI, platform: Served) -> None:
    """Wait until two workers take sessions: one that was killed before is started again."""
    holders: set[psutil.Process] = set()
    deadline = time.monotonic() + START_S
    while len({each for each in holders if each.is_running()}) < 2:
        assert time.monotonic() < deadline, "there is one worker alone"
        async with talking(realtime, ECHO) as talk:
            holders.add(await holder(platform, await session_of(talk)))


async def session_of(talk: Talk) -> str:
    session_id: str = (await talk.until("session.created"))["session"]["id"]
    return session_id


async def test_a_listening_session_hears_on(realtime: openai.AsyncOpenAI, platform: Served, clips: Path) -> None:
    await await_peers(realtime, platform)
    async with talking(realtime, ECHO) as talk:
        session_id = await session_of(talk)
        await talk.update(output_modalities=["text"], audio={"input": {"turn_detection": LISTENS}})
        async with asyncio.TaskGroup() as both:
            both.create_task(talk.hear(spoken_turn(clips / "en/counting.wav")))
            started = await talk.until("input_audio_buffer.speech_started")
            (await holder(platform, session_id)).kill()
            stopped = await talk.until("input_audio_buffer.speech_stopped")
            done = (await talk.until("response.done"))["response"]
        await talk.settled()
    assert len(talk.of("input_audio_buffer.speech_started")) == 1
    assert stopped["item_id"] == started["item_id"] == talk.of("input_audio_buffer.committed")[0]["item_id"]
    # Nothing that was said while nobody listened is missing.
    assert misheard("You said: One two three four five six seven eight nine ten.", talk.text(done["id"])) <= 0.1


async def test_a_thinking_session_answers(realtime: openai.AsyncOpenAI, platform: Served) -> None:
    await await_peers(realtime, platform)
    async with talking(realtime, LATE) as talk:
        session_id = await session_of(talk)
        await talk.update(output_modalities=["text"])
        await talk.say("Think about it.")
        await talk.send("response.create")
        await talk.until("response.created")
        (await holder(platform, session_id)).kill()
        killed = time.monotonic()
        event_id = await talk.send("response.cancel", response_id="resp_nobody")
        await talk.until("error", where=lambda event: event["error"]["event_id"] == event_id)
        away_s = time.monotonic() - killed
        done = (await talk.until("response.done"))["response"]
        await talk.settled()
    assert away_s < AWAY_S + 0.5
    assert done["status"] == "completed"
    assert talk.text(done["id"]) == "You said: Think about it."
    assert len(talk.of("response.created")) == len(talk.of("response.done")) == 1


async def test_a_speaking_session_speaks_on(
    realtime: openai.AsyncOpenAI, platform: Served, client: openai.OpenAI
) -> None:
    await await_peers(realtime, platform)
    async with talking(realtime, SLOW) as talk:
        session_id = await session_of(talk)
        await talk.say("This is the first sentence. Here comes another one. And this is the end of it.")
        await talk.send("response.create")
        await talk.until("response.output_audio.delta")
        (await holder(platform, session_id)).kill()
        done = (await talk.until("response.done"))["response"]
        await talk.settled()
        sound = talk.sound(done["id"])
    assert done["status"] == "completed"
    (part,) = done["output"][0]["content"]
    assert talk.text(done["id"]) == part["transcript"]
    assert "the end of it" in part["transcript"]
    # Neither is a word of it missing nor said twice.
    said = await asyncio.to_thread(transcribed, client, sound, "pcm16")
    assert misheard(part["transcript"], said) <= MISHEARD


async def test_a_session_outlives_every_worker(realtime: openai.AsyncOpenAI, platform: Served) -> None:
    async with talking(realtime, ECHO) as talk:
        session_id = await session_of(talk)
        await talk.update(output_modalities=["text"])
        for number in range(3):
            await await_peers(realtime, platform)
            await talk.say(f"Number {number}.")
            (await holder(platform, session_id)).kill()
            await talk.send("response.create")
            done = (await talk.until("response.done"))["response"]
            assert talk.text(done["id"]) == f"You said: Number {number}."
        await talk.settled()
    assert len(talk.of("conversation.item.done")) == 6
