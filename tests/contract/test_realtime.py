"""Turns of a realtime session, through the official SDK."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.chat_models import LOCAL
from tests.contract.chat_talk import MISHEARD, misheard, transcribed
from tests.contract.chat_upstream import ScriptedUpstream
from tests.contract.realtime_client import Talk, talking
from tests.contract.realtime_models import BROKEN, ECHO, ENDLESS
from tests.contract.realtime_sounds import silence, speech, spoken_turn

pytestmark = [pytest.mark.contract, pytest.mark.timeout(180), pytest.mark.usefixtures("upstream")]

HEARD = {"model": "whisper-1", "language": "en"}
VAD = {"type": "server_vad", "silence_duration_ms": 500}
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]},
}
ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
ENDING = ["response.content_part.done", "response.output_item.done", "conversation.item.done", "response.done"]


def without(kinds: list[str], *left_out: str) -> list[str]:
    """Return kinds of events but for those whose place is not told."""
    left = [kind for kind in kinds if kind not in ("rate_limits.updated", *left_out)]
    return [kind for at, kind in enumerate(left) if at == 0 or left[at - 1] != kind]


async def test_a_session_begins_by_itself_and_answers_an_update_with_all_of_it(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        created = (await talk.until("session.created"))["session"]
        assert talk.types() == ["session.created"]
        assert (created["type"], created["object"], created["model"]) == ("realtime", "realtime.session", ECHO)
        assert created["output_modalities"] == ["audio"]
        assert created["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert created["audio"]["input"]["turn_detection"]["type"] == "server_vad"
        updated = (await talk.update(instructions="You are terse.", model=ECHO))["session"]
    assert updated == {**created, "instructions": "You are terse."}


async def test_a_turn_in_text_is_told_in_the_documented_order(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(output_modalities=["text"])
        start = len(talk.log)
        question = (await talk.say("Good morning."))["item"]
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
        await talk.settled()
        order = without(talk.types(after=start), "error")
    assert order == [
        "conversation.item.added",
        "conversation.item.done",
        *ANSWER,
        "response.output_text.delta",
        "response.output_text.done",
        *ENDING,
    ]
    created = talk.of("response.created")[0]["response"]
    assert (created["status"], created["output"], created["id"]) == ("in_progress", [], done["id"])
    (added,) = talk.of("response.output_item.added")
    assert (added["item"]["status"], added["item"]["content"]) == ("in_progress", [])
    (told, answered) = talk.of("conversation.item.added")
    assert told["previous_item_id"] is None
    assert (answered["previous_item_id"], answered["item"]["id"]) == (question["id"], added["item"]["id"])
    assert talk.of("response.content_part.added")[0]["part"] == {"type": "text", "text": ""}
    assert talk.of("response.content_part.done")[0]["part"] == {"type": "text", "text": "You said: Good morning."}
    assert talk.text(done["id"]) == talk.of("response.output_text.done")[0]["text"] == "You said: Good morning."
    (item,) = done["output"]
    assert (item["id"], item["status"]) == (added["item"]["id"], "completed")
    assert item["content"] == [{"type": "output_text", "text": "You said: Good morning."}]
    assert done["status"] == "completed"
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"] > 0


async def test_a_spoken_turn_ends_by_itself_and_is_heard_and_answered(
    realtime: openai.AsyncOpenAI, client: openai.OpenAI, clips: Path
) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(audio={"input": {"transcription": HEARD, "turn_detection": VAD}})
        start = len(talk.log)
        await talk.hear(spoken_turn(clips / "en/hello_world.wav"))
        done = (await talk.until("response.done"))["response"]
        heard = await talk.find("conversation.item.input_audio_transcription.completed")
        transcription = "conversation.item.input_audio_transcription"
        order = without(talk.types(after=start), f"{transcription}.delta", f"{transcription}.completed")
    _check_heard(talk, misheard("Hello world.", heard["transcript"]))
    spoken = ["response.output_audio_transcript.delta", "response.output_audio.delta"]
    assert without(order, *spoken) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        *ANSWER,
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        *ENDING,
    ]
    at = [order.index(kind) for kind in spoken]
    assert order.index("response.content_part.added") < min(at) < max(at) < order.index("response.output_audio.done")
    assert done["status"] == "completed"
    (answer,) = done["output"]
    (part,) = answer["content"]
    assert part["type"] == "output_audio"
    assert "audio" not in part
    assert part["transcript"] == talk.text(done["id"])
    assert part["transcript"].startswith("You said:")
    said = await asyncio.to_thread(transcribed, client, talk.sound(done["id"]), "pcm16")
    assert misheard(part["transcript"], said) <= MISHEARD


def _check_heard(talk: Talk, errors: float) -> None:
    """Hold the events of what was heard to each other."""
    assert errors == 0
    (started,) = talk.of("input_audio_buffer.speech_started")
    (stopped,) = talk.of("input_audio_buffer.speech_stopped")
    (committed,) = talk.of("input_audio_buffer.committed")
    item_id = started["item_id"]
    assert item_id == stopped["item_id"] == committed["item_id"]
    (added,) = talk.of("conversation.item.added")[:1]
    assert added["item"]["id"] == item_id
    assert [(part["type"], part.get("transcript")) for part in added["item"]["content"]] == [("input_audio", None)]
    # The recording begins at 400 ms and is 1,143 ms long; its first word is told with what came before it.
    assert 0 <= started["audio_start_ms"] <= 600
    assert 1500 <= stopped["audio_end_ms"] <= 2500
    transcription = "conversation.item.input_audio_transcription"
    (completed,) = talk.of(f"{transcription}.completed")
    assert completed["item_id"] == item_id
    assert completed["usage"]["type"] in ("tokens", "duration")
    deltas = talk.of(f"{transcription}.delta", item_id=item_id)
    assert not deltas or "".join(delta["delta"] for delta in deltas) == completed["transcript"]


async def test_without_turn_detection_the_client_ends_the_turn_and_asks_for_the_answer(
    realtime: openai.AsyncOpenAI, clips: Path
) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(output_modalities=["text"], audio={"input": {"turn_detection": None, "transcription": HEARD}})
        start = len(talk.log)
        await talk.hear(speech(clips / "en/hello_world.wav"), pace=20)
        await talk.send("input_audio_buffer.commit")
        committed = await talk.until("input_audio_buffer.committed")
        await talk.until("conversation.item.done")
        await talk.find("conversation.item.input_audio_transcription.completed")
        assert talk.of("response.created") == []
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
        kinds = talk.types(after=start)
    assert kinds[:3] == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    assert talk.of("conversation.item.added")[0]["item"]["id"] == committed["item_id"]
    assert misheard("You said: Hello world.", talk.text(done["id"])) == 0


async def test_a_cleared_buffer_is_empty(realtime: openai.AsyncOpenAI, clips: Path) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(audio={"input": {"turn_detection": None}})
        await talk.append(speech(clips / "en/hello_world.wav"))
        await talk.send("input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
        await talk.append(silence(60))
        event_id = await talk.send("input_audio_buffer.commit")
        error = (await talk.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", event_id)
    assert error["message"] == (
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        "but buffer only has 60.00ms of audio."
    )


@pytest.mark.parametrize("model", [LOCAL, ECHO])
async def test_a_function_is_called_and_its_output_is_answered(realtime: openai.AsyncOpenAI, model: str) -> None:
    async with talking(realtime, model) as talk:
        await talk.update(output_modalities=["text"], tools=[WEATHER], tool_choice="required", max_output_tokens=60)
        await talk.say("What is the weather in Paris?")
        start = len(talk.log)
        await talk.send("response.create")
        called = (await talk.until("response.done"))["response"]
        order = without(talk.types(after=start))
        (call,) = called["output"]
        answer = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        await talk.send("conversation.item.create", item=answer)
        added = await talk.until("conversation.item.added")
        await talk.send("response.create", response={"tool_choice": "none", "max_output_tokens": 24})
        told = (await talk.until("response.done"))["response"]
    assert order == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    (begun,) = [event["item"] for event in talk.of("response.output_item.added", response_id=called["id"])]
    assert (begun["type"], begun["status"], begun["arguments"]) == ("function_call", "in_progress", "")
    (whole,) = talk.of("response.function_call_arguments.done")
    deltas = talk.of("response.function_call_arguments.delta")
    assert "".join(delta["delta"] for delta in deltas) == whole["arguments"] == call["arguments"]
    assert {whole["name"], call["name"], begun["name"]} == {"get_weather"}
    assert {event["call_id"] for event in (whole, call, begun, *deltas)} == {call["call_id"]}
    assert isinstance(json.loads(call["arguments"])["city"], str)
    assert (called["status"], call["status"]) == ("completed", "completed")
    assert added["item"]["call_id"] == call["call_id"]
    assert told["output"][0]["type"] == "message"
    if model == ECHO:
        assert talk.text(told["id"]) == "The function says: sunny"


async def test_no_function_is_called_when_none_may_be(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.update(output_modalities=["text"], tools=[WEATHER], tool_choice="none")
        await talk.say("Use get_weather for Rome.")
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
    assert [item["type"] for item in done["output"]] == ["message"]


async def test_a_response_out_of_band_leaves_no_trace_and_runs_beside_another(
    realtime: openai.AsyncOpenAI, upstream: ScriptedUpstream
) -> None:
    async with talking(realtime, ENDLESS) as talk:
        await talk.update(output_modalities=["text"])
        await talk.say("Talk without an end, Juniper.")
        await talk.send("response.create")
        endless = (await talk.until("response.created"))["response"]["id"]
        items = len(talk.of("conversation.item.added"))
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Aside, Juniper."}]}
        aside = {"conversation": "none", "input": [message], "metadata": {"topic": "aside"}, "max_output_tokens": 20}
        await talk.send("response.create", response=aside)
        created = (await talk.find("response.created", where=lambda e: e["response"]["id"] != endless))["response"]
        done = await talk.find("response.done", where=lambda e: e["response"]["id"] == created["id"])
        asked = upstream.asked("Aside, Juniper.")[-1]["body"]["messages"]
        second = await talk.send("response.create")
        refused = await talk.find("error", where=lambda e: e["error"]["event_id"] == second)
        await talk.send("response.cancel", response_id=endless)
        await talk.find("response.done", where=lambda e: e["response"]["id"] == endless)
    assert (created["conversation_id"], created["metadata"]) == (None, {"topic": "aside"})
    assert done["response"]["metadata"] == {"topic": "aside"}
    assert done["response"]["status"] == "incomplete"
    assert done["response"]["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert [line["content"] for line in asked if line["role"] != "system"] == ["Aside, Juniper."]
    (answer,) = done["response"]["output"]
    told = [event["item"]["id"] for event in talk.log if event["type"].startswith("conversation.item.")]
    assert answer["id"] not in told
    assert len(talk.of("conversation.item.added")) == items + (1 if items == 1 else 0)
    assert refused["error"]["code"] == "conversation_already_has_active_response"
    assert endless in refused["error"]["message"]


async def test_a_model_that_breaks_off_ends_its_response_and_not_the_session(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, BROKEN) as talk:
        await talk.update(output_modalities=["text"])
        await talk.say("One two three four five six.")
        for _ in range(2):
            await talk.send("response.create")
            done = (await talk.until("response.done"))["response"]
            assert done["status"] == "failed"
            assert done["status_details"]["type"] == "failed"
            assert done["status_details"]["error"]["code"]
    for opened, ended in (("response.output_item.added", "response.output_item.done"),):
        assert len(talk.of(opened)) == len(talk.of(ended))
    assert len(talk.of("response.content_part.added")) == len(talk.of("response.content_part.done"))


async def test_a_real_model_answers_in_its_own_voice(
    realtime: openai.AsyncOpenAI, client: openai.OpenAI, clips: Path
) -> None:
    async with talking(realtime, "gpt-realtime") as talk:
        await talk.update(
            instructions="Answer with one short sentence.",
            max_output_tokens=16,
            audio={"input": {"turn_detection": VAD}, "output": {"voice": "marin"}},
        )
        await talk.hear(spoken_turn(clips / "en/counting.wav"), pace=2)
        done = (await talk.until("response.done", within_s=150))["response"]
    assert done["status"] in ("completed", "incomplete")
    said = await asyncio.to_thread(transcribed, client, talk.sound(done["id"]), "pcm16")
    transcript = done["output"][0]["content"][0]["transcript"]
    assert transcript
    assert misheard(transcript, said) <= 2 * MISHEARD
