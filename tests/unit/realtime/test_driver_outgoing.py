"""Server events as they are committed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.bus import SessionOutput
from services.realtime.driver.outgoing import Backlog, Outgoing

pytestmark = pytest.mark.unit


def sound(response_id: str, number: int, pcm: bytes) -> dict[str, Any]:
    return {
        "type": "response.output_audio.delta",
        "event_id": f"event_{number}",
        "response_id": response_id,
        "item_id": "item_1",
        "content_index": 0,
        "delta": pcm,
    }


def done(response_id: str) -> dict[str, Any]:
    return {"type": "response.output_audio.done", "event_id": "event_9", "response_id": response_id}


def test_sound_travels_beside_its_event() -> None:
    outgoing = Outgoing()
    outgoing.add(sound("resp_1", 1, b"\1\0" * 240), format="audio/pcm")
    (output,) = outgoing.outputs
    assert orjson.loads(output.data)["delta"] == ""
    assert output.audio == b"\1\0" * 240
    assert [(kept.item_id, kept.index, kept.data) for kept in outgoing.take_sounds()] == [("item_1", 0, output.audio)]
    assert outgoing.take_sounds() == []
    assert outgoing.spoken_bytes == 480


def test_all_of_a_response_is_sent_in_a_telephone_format_before_it_is_said_to_be_done() -> None:
    outgoing = Outgoing()
    for number in range(10):
        outgoing.add(sound("resp_1", number, bytes(482)), format="audio/pcmu")
    outgoing.add(done("resp_1"), format="audio/pcmu")
    *sounds, last = [orjson.loads(output.data) for output in outgoing.outputs]
    assert last["type"] == "response.output_audio.done"
    assert len({event["event_id"] for event in sounds}) == len(sounds)
    assert sum(len(output.audio) for output in outgoing.outputs) == pytest.approx(10 * 241 / 3, abs=1)


def test_responses_that_speak_at_once_are_converted_apart() -> None:
    outgoing = Outgoing()
    for _ in range(4):
        outgoing.add(sound("resp_1", 1, bytes(482)), format="audio/pcma")
        outgoing.add(sound("resp_2", 2, b"\xff\x7f" * 241), format="audio/pcma")
    quiet = b"".join(
        kept.data
        for kept, output in zip(outgoing.take_sounds(), outgoing.outputs, strict=True)
        if orjson.loads(output.data)["response_id"] == "resp_1"
    )
    assert set(quiet) == {0xD5}


def test_responses_that_end_are_counted() -> None:
    outgoing = Outgoing()
    outgoing.add({"type": "response.done", "event_id": "event_1", "response": {"id": "resp_1"}}, format="audio/pcm")
    assert outgoing.responses == 1


def test_what_the_door_has_not_sent_is_counted_in_bytes() -> None:
    backlog = Backlog()
    outputs = [SessionOutput("event", b"x" * 10, audio=b"y" * 90)] * 5
    assert backlog.add(outputs, unsent=5) == 500
    assert backlog.add(outputs[:1], unsent=3) == 300
    assert backlog.add([], unsent=0) == 0
