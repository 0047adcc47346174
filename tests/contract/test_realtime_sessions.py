"""The session object, formats, turn detection, and everything that a session survives."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.chat_talk import MISHEARD, misheard, transcribed
from tests.contract.realtime_client import Talk, talking
from tests.contract.realtime_models import ECHO
from tests.contract.realtime_sounds import as_telephone, from_telephone, silence, spoken_turn

pytestmark = [pytest.mark.contract, pytest.mark.timeout(180), pytest.mark.usefixtures("upstream")]


async def refused(talk: Talk, session: dict[str, Any]) -> dict[str, Any]:
    """Ask for a change that is not made; return the error, which names the event."""
    event_id = await talk.send("session.update", session=session)
    error: dict[str, Any] = (await talk.until("error"))["error"]
    assert error["event_id"] == event_id
    assert error["type"] == "invalid_request_error"
    return error


async def test_an_update_is_taken_as_a_whole_or_not_at_all(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        before = (await talk.update(instructions="Before."))["session"]
        good = {"type": "realtime", "instructions": "After."}
        unknown = await refused(talk, {**good, "colour": "red"})
        nested = await refused(talk, {**good, "audio": {"input": {"gain": 3}}})
        untyped = await refused(talk, {"instructions": "After."})
        switched = await refused(talk, {**good, "type": "transcription"})
        wrong = await refused(talk, {**good, "audio": {"output": {"speed": 9}}})
        after = (await talk.update())["session"]
    assert (unknown["code"], unknown["param"]) == ("unknown_parameter", "session.colour")
    assert unknown["message"] == "Unknown parameter: 'session.colour'."
    assert (nested["code"], nested["param"]) == ("unknown_parameter", "session.audio.input.gain")
    assert (untyped["code"], untyped["param"]) == ("missing_required_parameter", "session.type")
    assert switched["param"] == "session.type"
    assert wrong["param"] == "session.audio.output.speed"
    assert after == before


async def test_what_an_update_leaves_out_stays_and_null_turns_off(realtime: openai.AsyncOpenAI) -> None:
    tool = {"type": "function", "name": "greet", "parameters": {"type": "object", "properties": {}}}
    async with talking(realtime, ECHO) as talk:
        detection = {"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 400}
        transcription = {"model": "whisper-1"}
        await talk.update(
            instructions="Hm.",
            tools=[tool],
            audio={"input": {"turn_detection": detection, "transcription": transcription}},
        )
        partly = (await talk.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.6}}}))[
            "session"
        ]
        switched = (await talk.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}}))["session"]
        cleared = (
            await talk.update(
                model=ECHO, instructions="", tools=[], audio={"input": {"turn_detection": None, "transcription": None}}
            )
        )["session"]
    heard = partly["audio"]["input"]
    assert (heard["turn_detection"]["threshold"], heard["turn_detection"]["silence_duration_ms"]) == (0.6, 400)
    assert (partly["instructions"], len(partly["tools"]), heard["transcription"]["model"]) == ("Hm.", 1, "whisper-1")
    assert switched["audio"]["input"]["turn_detection"]["eagerness"] == "auto"
    assert "threshold" not in switched["audio"]["input"]["turn_detection"]
    assert (cleared["instructions"], cleared["tools"]) == ("", [])
    assert (cleared["audio"]["input"]["turn_detection"], cleared["audio"]["input"]["transcription"]) == (None, None)


async def test_the_voice_stays_once_it_was_heard(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(audio={"output": {"voice": "alloy"}})
        await talk.say("Hello.")
        await talk.send("response.create")
        await talk.until("response.done")
        error = await refused(
            talk, {"type": "realtime", "instructions": "Other.", "audio": {"output": {"voice": "cedar"}}}
        )
        same = (await talk.update(audio={"output": {"voice": "alloy"}}))["session"]
    assert error["code"] == "cannot_update_voice"
    assert error["message"] == "Cannot update a conversation's voice if assistant audio is present."
    assert same["instructions"] != "Other."


BROKEN: list[tuple[str | bytes, str | None, str | None]] = [
    ("not json", "invalid_json", None),
    ('{"type":', "invalid_json", None),
    ("[]", None, None),
    ("{}", "invalid_event", None),
    (b"\x00\x01", None, None),
    ('{"type": "session.explode", "event_id": "e1"}', "invalid_value", "type"),
    ('{"type": 5, "event_id": "e2"}', "invalid_value", "type"),
    ('{"type": "session.update", "event_id": "e3"}', "missing_required_parameter", "session"),
    ('{"type": "session.update", "event_id": "e4", "session": []}', None, "session"),
    ('{"type": "input_audio_buffer.append", "event_id": "e5"}', "missing_required_parameter", "audio"),
    ('{"type": "input_audio_buffer.append", "event_id": "e6", "audio": "%%%"}', "invalid_value", "audio"),
    ('{"type": "input_audio_buffer.append", "event_id": "e7", "audio": 7}', None, "audio"),
    ('{"type": "input_audio_buffer.commit", "event_id": "e8"}', "input_audio_buffer_commit_empty", None),
    ('{"type": "conversation.item.create", "event_id": "e9"}', "missing_required_parameter", "item"),
    ('{"type": "conversation.item.create", "event_id": "e10", "item": {"type": "poem"}}', None, "item.type"),
    ('{"type": "conversation.item.delete", "event_id": "e11"}', "missing_required_parameter", "item_id"),
    ('{"type": "conversation.item.truncate", "event_id": "e12", "item_id": "no", "audio_end_ms": 1}', None, "item_id"),
    ('{"type": "response.create", "event_id": "e13", "response": {"size": 11}}', "unknown_parameter", "response.size"),
    ('{"type": "response.create", "event_id": "e14", "response": 1}', None, "response"),
    ('{"type": "response.cancel", "event_id": "e15", "response_id": "no"}', "response_cancel_not_active", None),
    (json.dumps({"type": "response.cancel", "event_id": "e" * 513}), "invalid_value", "event_id"),
]  # fmt: skip


def told_id(frame: str | bytes) -> str | None:
    """Return the `event_id` that an error about a frame names."""
    found = re.search(r'"event_id": "(.*?)"', frame) if isinstance(frame, str) else None
    return found[1] if found and len(found[1]) <= 512 else None


async def test_no_broken_frame_ends_a_session(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(output_modalities=["text"], audio={"input": {"turn_detection": None}})
        for frame, code, param in BROKEN:
            await talk.connection._connection.send(frame)
            error = (await talk.until("error"))["error"]
            assert code is None or error["code"] == code, (frame, error)
            assert param is None or error["param"] == param, (frame, error)
            told = (
                json.loads(frame).get("event_id") if isinstance(frame, str) and frame.startswith('{"type": ') else None
            )
            assert error["event_id"] == (told if told is not None and len(told) <= 512 else None), (frame, error)
        assert len(talk.of("error")) == len(BROKEN)
        await talk.say("Still there?")
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
    assert talk.text(done["id"]) == "You said: Still there?"


@pytest.mark.parametrize(("taken", "given"), [("audio/pcmu", "audio/pcma"), ("audio/pcma", "audio/pcmu")])
async def test_the_telephone_is_understood_and_answered(
    realtime: openai.AsyncOpenAI, client: openai.OpenAI, clips: Path, taken: str, given: str
) -> None:
    async with talking(realtime, ECHO) as talk:
        detection = {"type": "server_vad", "silence_duration_ms": 400}
        session = await talk.update(
            audio={
                "input": {"format": {"type": taken}, "turn_detection": detection},
                "output": {"format": {"type": given}},
            }
        )
        assert session["session"]["audio"]["input"]["format"] == {"type": taken}
        spoken = as_telephone(spoken_turn(clips / "en/hello_world.wav"), taken)
        await talk.hear(spoken, chunk_ms=20, pace=4, bytes_per_s=8000)
        started = await talk.until("input_audio_buffer.speech_started")
        stopped = await talk.until("input_audio_buffer.speech_stopped")
        done = (await talk.until("response.done"))["response"]
        sound = talk.sound(done["id"])
    assert 900 < stopped["audio_end_ms"] - started["audio_start_ms"] < 2300
    assert done["audio"]["output"]["format"] == {"type": given}
    transcript = done["output"][0]["content"][0]["transcript"]
    assert misheard("You said: Hello world.", transcript) == 0
    said = await asyncio.to_thread(transcribed, client, from_telephone(sound, given), "pcm16")
    assert misheard(transcript, said) <= 2 * MISHEARD


async def test_a_turn_may_end_by_what_was_said(realtime: openai.AsyncOpenAI, clips: Path) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(
            output_modalities=["text"],
            audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}},
        )
        await talk.hear(spoken_turn(clips / "en/quick_brown_fox.wav", after_ms=3000), pace=2)
        started = await talk.until("input_audio_buffer.speech_started")
        stopped = await talk.until("input_audio_buffer.speech_stopped")
        done = (await talk.until("response.done"))["response"]
    assert stopped["item_id"] == started["item_id"]
    assert misheard("You said: The quick brown fox jumps over the lazy dog.", talk.text(done["id"])) <= MISHEARD


async def test_who_says_nothing_for_a_while_is_spoken_to(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(
            output_modalities=["text"],
            audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}},
        )
        await talk.say("Wait for me.")
        await talk.send("response.create")
        first = await talk.until("response.done")
        waiting = talk.arrived_s[talk.log.index(first)]
        async with asyncio.TaskGroup() as both:
            quiet = both.create_task(talk.hear(silence(20_000), chunk_ms=100))
            timeout = await talk.until("input_audio_buffer.timeout_triggered")
            committed = await talk.until("input_audio_buffer.committed")
            await talk.until("response.created")
            await talk.until("response.done")
            quiet.cancel()
        waited_s = talk.arrived_s[talk.log.index(timeout)] - waiting
    assert committed["item_id"] == timeout["item_id"]
    assert timeout["audio_start_ms"] <= timeout["audio_end_ms"]
    assert 4.8 < waited_s < 8


async def test_tools_of_a_kind_that_is_not_there_and_pictures_are_refused(realtime: openai.AsyncOpenAI) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    async with talking(realtime, ECHO) as talk:
        error = await refused(talk, {"type": "realtime", "tools": [{"type": "hammer"}]})
        assert error["param"] == "session.tools[0].type"
        item = {"type": "message", "role": "user", "content": [picture]}
        await talk.send("conversation.item.create", item=item)
        error = (await talk.until("error"))["error"]
    assert error["param"].startswith("item.content[0]")
    assert "mage" in error["message"]
