from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.bus import SessionOutput
from services.ingest.realtime.dialects import Interpreter, is_ga
from services.ingest.realtime.frames import Frame, FrameReader
from services.ingest.realtime.handshake import Dialect

pytestmark = pytest.mark.unit


def reader(dialect: Dialect = "ga") -> FrameReader:
    return FrameReader(Interpreter(dialect), append="input_audio_buffer.append")


def append(audio: str, **fields: Any) -> str:
    return orjson.dumps({"type": "input_audio_buffer.append", "audio": audio, **fields}).decode()


def refusal(frame: Frame | None) -> dict[str, Any]:
    assert frame is not None
    kind, data = frame
    assert kind == "refused"
    told: dict[str, Any] = orjson.loads(data)
    return told


@given(sound=st.binary(min_size=1, max_size=200))
async def test_sound_is_decoded_once_and_whole(sound: bytes) -> None:
    assert await reader().read(append(base64.b64encode(sound).decode())) == ("audio", sound)


@given(
    sound=st.binary(min_size=3, max_size=60),
    at=st.integers(min_value=0, max_value=40),
    junk=st.sampled_from([" ", "\n", "-", "_", "=", "é", "\x00"]),
)
async def test_sound_that_is_not_quite_base64_is_refused(sound: bytes, at: int, junk: str) -> None:
    text = base64.b64encode(sound).decode().rstrip("=")
    wrong = text[: at % len(text)] + junk + text[at % len(text) :]
    told = refusal(await reader().read(append(wrong, event_id="e1")))
    assert (told["error"]["code"], told["error"]["param"], told["event_id"]) == ("invalid_value", "audio", "e1")


async def test_an_empty_append_brings_nothing() -> None:
    assert await reader().read(append("")) is None


async def test_an_event_goes_on_as_it_came() -> None:
    text = '{ "type": "response.create", "wings": "é" }'
    assert await reader().read(text) == ("event", text.encode())


@given(st.one_of(st.text(), st.binary()))
async def test_nothing_that_is_sent_breaks_the_reader(message: str | bytes) -> None:
    frame = await reader().read(message)
    assert frame is not None
    if frame[0] == "refused":
        assert refusal(frame)["error"]["code"] in ("invalid_json", "invalid_event")


async def test_an_id_that_is_too_long_is_not_repeated() -> None:
    told = refusal(await reader().read(append("!", event_id="e" * 513)))
    assert told["event_id"] is None


async def test_a_connection_of_the_beta_is_translated() -> None:
    frame = await reader("beta").read('{"type":"session.update","session":{"voice":"ash"}}')
    assert frame is not None
    assert frame[0] == "event"
    assert orjson.loads(frame[1])["session"]["audio"]["output"]["voice"] == "ash"


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        ({"type": "session.update", "session": {"type": "realtime"}}, True),
        ({"type": "session.update", "session": {"audio": {}}}, True),
        ({"type": "session.update", "session": {"voice": "ash"}}, False),
        ({"type": "response.create", "response": {"output_modalities": ["text"]}}, True),
        ({"type": "response.create", "response": {"modalities": ["text"]}}, None),
        ({"type": "response.create", "response": 5}, None),
        ({"type": "input_audio_buffer.commit"}, None),
        ({}, None),
    ],
)
def test_a_dialect_is_known_by_its_words(event: dict[str, Any], verdict: bool | None) -> None:
    assert is_ga(event) is verdict


def test_sound_goes_out_in_the_place_that_was_left_for_it() -> None:
    event = b'{"type":"response.output_audio.delta","item_id":"\\"delta\\":\\"\\"","delta":"","event_id":"e"}'
    (text,) = Interpreter("ga").outward(SessionOutput("event", event, b"abc"))
    assert orjson.loads(text) == orjson.loads(event) | {"delta": "YWJj"}
    (text,) = Interpreter("beta").outward(SessionOutput("event", event, b"abc"))
    assert orjson.loads(text) == orjson.loads(event) | {"delta": "YWJj", "type": "response.audio.delta"}
    (text,) = Interpreter("ga").outward(SessionOutput("event", event))
    assert text == event.decode()
