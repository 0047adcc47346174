"""Answers that do not come to their end, and what becomes of items afterwards."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import openai
import pytest

from tests.contract.realtime_client import Talk, talking
from tests.contract.realtime_models import ECHO, ENDLESS
from tests.contract.realtime_sounds import spoken_turn

pytestmark = [pytest.mark.contract, pytest.mark.timeout(180), pytest.mark.usefixtures("upstream")]

LISTENS = {"type": "server_vad", "silence_duration_ms": 300, "create_response": False}


async def begin_endless(talk: Talk, *, deltas: int = 3) -> str:
    """Have an answer spoken that does not end by itself; return its id when some of it has come."""
    await talk.say("Tell me everything.")
    await talk.send("response.create")
    response_id: str = (await talk.until("response.created"))["response"]["id"]
    for _ in range(deltas):
        await talk.until("response.output_audio.delta")
    return response_id


def check_broken_off(talk: Talk, response_id: str, reason: str) -> None:
    """Hold an answer that was broken off to its rules: all that was open is closed before it is done."""
    (done,) = [event for event in talk.of("response.done") if event["response"]["id"] == response_id]
    response = done["response"]
    assert (response["status"], response["status_details"]) == ("cancelled", {"type": "cancelled", "reason": reason})
    own = [event for event in talk.log if event.get("response_id") == response_id]
    assert [event["type"] for event in own[-4:]] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    assert talk.log.index(own[-1]) < talk.log.index(done)
    (item,) = response["output"]
    assert own[-1]["item"] == item
    assert item["status"] == "incomplete"
    assert own[-2]["part"]["transcript"] == talk.text(response_id)


async def test_who_speaks_interrupts_the_answer(realtime: openai.AsyncOpenAI, clips: Path) -> None:
    async with talking(realtime, ENDLESS) as talk:
        await talk.update(audio={"input": {"turn_detection": LISTENS}})
        response_id = await begin_endless(talk)
        async with asyncio.TaskGroup() as both:
            both.create_task(talk.hear(spoken_turn(clips / "en/hello_world.wav")))
            started = await talk.until("input_audio_buffer.speech_started")
            done = await talk.until("response.done")
        committed = await talk.until("input_audio_buffer.committed")
        await talk.settled()
    assert done["response"]["id"] == response_id
    assert committed["item_id"] == started["item_id"]
    check_broken_off(talk, response_id, "turn_detected")
    assert len(talk.of("response.created")) == 1


async def test_nobody_interrupts_where_that_is_turned_off(realtime: openai.AsyncOpenAI, clips: Path) -> None:
    async with talking(realtime, ENDLESS) as talk:
        await talk.update(audio={"input": {"turn_detection": {**LISTENS, "interrupt_response": False}}})
        response_id = await begin_endless(talk, deltas=1)
        await talk.hear(spoken_turn(clips / "en/hello_world.wav"), pace=4)
        await talk.until("input_audio_buffer.committed")
        assert talk.of("response.done") == []
        await talk.send("response.cancel")
        await talk.until("response.done")
    check_broken_off(talk, response_id, "client_cancelled")


async def test_a_client_cancels_an_answer_once(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ENDLESS) as talk:
        response_id = await begin_endless(talk)
        await talk.send("response.cancel")
        await talk.until("response.done")
        event_id = await talk.send("response.cancel")
        error = (await talk.until("error"))["error"]
        await talk.settled()
        assert talk.log[-1]["type"] == "error"
    check_broken_off(talk, response_id, "client_cancelled")
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", event_id)
    assert error["message"] == "Cancellation failed: no active response found"


async def test_what_was_not_heard_of_an_answer_is_forgotten(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        await talk.say("The first of many words. The second sentence is longer than that. And a third one.")
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
        (item,) = done["output"]
        whole = item["content"][0]["transcript"]
        length_ms = len(talk.sound(done["id"])) // 48
        too_late = await talk.send(
            "conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=length_ms + 1000
        )
        refused = (await talk.until("error"))["error"]
        heard_ms = length_ms // 2
        await talk.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=heard_ms)
        truncated = await talk.until("conversation.item.truncated")
        await talk.send("conversation.item.retrieve", item_id=item["id"])
        retrieved = (await talk.until("conversation.item.retrieved"))["item"]
    assert (refused["code"], refused["event_id"]) == ("invalid_value", too_late)
    assert refused["message"] == f"Audio content of {length_ms}ms is already shorter than {length_ms + 1000}ms"
    assert (truncated["item_id"], truncated["content_index"], truncated["audio_end_ms"]) == (item["id"], 0, heard_ms)
    (part,) = retrieved["content"]
    kept = base64.b64decode(part["audio"], validate=True)
    assert len(kept) == heard_ms * 48
    assert talk.sound(done["id"]).startswith(kept)
    left = part["transcript"]
    assert whole.startswith(left)
    assert 0.25 * len(whole) < len(left) < 0.75 * len(whole)
    assert whole[len(left)] in " ."


async def test_a_deleted_item_is_gone(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        added = await talk.say("Forget this.", id="mine")
        assert added["item"]["id"] == "mine"
        await talk.send("conversation.item.delete", item_id="mine")
        assert (await talk.until("conversation.item.deleted"))["item_id"] == "mine"
        for kind, code in (
            ("conversation.item.delete", "item_delete_invalid_item_id"),
            ("conversation.item.retrieve", "item_retrieve_invalid_item_id"),
        ):
            event_id = await talk.send(kind, item_id="mine")
            error = (await talk.until("error"))["error"]
            assert (error["code"], error["param"], error["event_id"]) == (code, "item_id", event_id)
        await talk.update(output_modalities=["text"])
        await talk.say("Are you there?")
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
    assert talk.text(done["id"]) == "You said: Are you there?"


async def test_items_are_put_where_their_client_wants_them(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, ECHO) as talk:
        content = [{"type": "input_text", "text": "word"}]
        places = [("b", None), ("a", "root"), ("c", None), ("between", "b")]
        for item_id, previous in places:
            item = {"id": item_id, "type": "message", "role": "user", "content": content}
            beside = {} if previous is None else {"previous_item_id": previous}
            await talk.send("conversation.item.create", item=item, **beside)
            await talk.until("conversation.item.done")
        await talk.send("conversation.item.create", item={**item, "id": "d"}, previous_item_id="nobody")
        error = (await talk.until("error"))["error"]
    added = [(event["item"]["id"], event["previous_item_id"]) for event in talk.of("conversation.item.added")]
    assert added == [("b", None), ("a", None), ("c", "b"), ("between", "b")]
    assert (error["code"], error["param"]) == ("item_create_invalid_previous_item_id", "previous_item_id")
