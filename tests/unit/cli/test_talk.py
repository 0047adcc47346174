"""What a live conversation's events mean to who talks, and what he sees and hears of them."""

from __future__ import annotations

import base64
import wave
from pathlib import Path
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from typer.testing import CliRunner

from antiphon.cli.app import app
from antiphon.cli.talk_devices import Loudspeaker
from antiphon.cli.talk_exchange import (
    Answered,
    Complained,
    Exchange,
    Heard,
    Interrupted,
    Notice,
    Said,
    Sounded,
    Waits,
)
from antiphon.cli.talk_line import LineOptions
from antiphon.cli.talk_player import Cut, into_file
from antiphon.cli.talk_screen import Screen, describe

pytestmark = pytest.mark.unit

EVENTS: TypeAdapter[RealtimeServerEvent] = TypeAdapter(RealtimeServerEvent)
PCM = b"\x01\x00" * 240
ONE_MS = 48


class Talked:
    """An exchange that is told of events by their types and fields, at seconds that are given."""

    def __init__(self, *, silence_ms: int = 500) -> None:
        self.exchange = Exchange(silence_ms=silence_ms)

    def take(self, kind: str, now_s: float = 0.0, **fields: Any) -> list[Notice]:
        event = EVENTS.validate_python({"type": kind, "event_id": "event_1", **fields})
        return self.exchange.take(event, now_s)

    def started(self) -> list[Notice]:
        return self.take("input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=0)

    def stopped(self, end_ms: int, now_s: float, item_id: str = "item_1") -> None:
        self.take("input_audio_buffer.speech_stopped", now_s, item_id=item_id, audio_end_ms=end_ms)
        self.take("input_audio_buffer.committed", now_s, item_id=item_id, previous_item_id=None)

    def transcribed(self, text: str, item_id: str = "item_1") -> list[Notice]:
        return self.take(
            "conversation.item.input_audio_transcription.completed",
            item_id=item_id,
            content_index=0,
            transcript=text,
            usage={"type": "duration", "seconds": 1},
        )

    def word(self, text: str, now_s: float = 0.0) -> list[Notice]:
        return self.take("response.output_audio_transcript.delta", now_s, delta=text, **self._part())

    def sound(self, now_s: float = 0.0) -> list[Notice]:
        return self.take("response.output_audio.delta", now_s, delta=base64.b64encode(PCM).decode(), **self._part())

    def done(self, now_s: float = 0.0, *, status: str = "completed", **details: Any) -> list[Notice]:
        response = {"id": "resp_1", "status": status, "status_details": {"type": status, **details}}
        return self.take("response.done", now_s, response=response)

    @staticmethod
    def _part() -> dict[str, Any]:
        return {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}


def test_waits_are_counted_from_the_end_of_speech_not_from_its_notice() -> None:
    talked = Talked(silence_ms=500)
    for frame in range(50):
        talked.exchange.send(40, 10.0 + frame * 0.04)
    talked.started()
    talked.stopped(1500, 11.6)  # speech ended at 1000 ms, which were sent at 10.96
    talked.transcribed("What?")
    talked.word("Well", 12.0)
    talked.word(" then", 12.1)
    talked.sound(12.5)
    (answered,) = talked.done(13.0)
    assert isinstance(answered, Answered)
    assert answered.waits is not None
    assert answered.waits.noticed_s == pytest.approx(0.64)
    assert answered.waits.first_word_s == pytest.approx(1.04)
    assert answered.waits.first_sound_s == pytest.approx(1.54)
    assert answered.waits.whole_s == pytest.approx(2.04)
    assert talked.exchange.is_settled


def test_the_question_is_shown_before_the_answer_whichever_comes_first() -> None:
    talked = Talked()
    talked.stopped(1000, 1.0)
    assert talked.word("Well") == []
    assert talked.sound() == [Sounded("item_2", PCM)]
    assert talked.done(2.0) == []
    assert not talked.exchange.is_settled
    heard, said, answered = talked.transcribed(" What? ")
    assert (heard, said) == (Heard("What?"), Said("Well"))
    assert isinstance(answered, Answered)
    assert talked.exchange.is_settled


def test_an_answer_that_was_talked_over_is_not_the_one_that_is_owed() -> None:
    talked = Talked()
    talked.stopped(1000, 1.0)
    talked.transcribed("One thing")
    assert talked.started() == [Interrupted()]
    talked.stopped(2000, 2.0, "item_3")
    assert talked.done(2.1, status="cancelled", reason="turn_detected") == [Answered(None, was_interrupted=True)]
    assert talked.transcribed("and another", "item_3") == [Heard("and another")]
    assert not talked.exchange.is_settled


def test_a_turn_whose_words_are_not_understood_is_answered_all_the_same() -> None:
    talked = Talked()
    talked.stopped(1000, 1.0)
    failed = talked.take(
        "conversation.item.input_audio_transcription.failed",
        item_id="item_1",
        content_index=0,
        error={"type": "server_error", "code": "x", "message": "no"},
    )
    assert failed == [Heard(None)]
    talked.done(2.0)
    assert talked.exchange.is_settled


@pytest.mark.parametrize(
    ("status", "details", "problem"),
    [
        ("failed", {"error": {"type": "server_error", "code": "service_unavailable"}}, "service_unavailable"),
        ("failed", {"error": {"type": "server_error", "code": "x", "message": "It is away."}}, "It is away."),
        ("incomplete", {"reason": "max_output_tokens"}, "max_output_tokens"),
        ("cancelled", {"reason": "client_cancelled"}, "client_cancelled"),
    ],
)
def test_an_answer_that_is_not_whole_says_why(status: str, details: dict[str, Any], problem: str) -> None:
    (ended,) = Talked().done(status=status, **details)
    assert isinstance(ended, Answered)
    assert ended.problem == problem


def test_a_refusal_is_told_and_the_next_turn_begins_afresh() -> None:
    talked = Talked()
    error = {"type": "invalid_request_error", "code": None, "message": "Unknown.", "param": None, "event_id": None}
    assert talked.take("error", error=error) == [Complained("Unknown.")]
    talked.stopped(1000, 1.0)
    assert talked.exchange.has_heard
    talked.exchange.begin_turn()
    assert not talked.exchange.has_heard


def test_a_conversation_reads_like_one(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    waits = Waits(0.5, 1.25, 1.5, 3.0)
    for notice in (Interrupted(), Heard("Where?"), Said("In Oslo,"), Said(" I think."), Answered(waits)):
        screen.show(notice)
    for notice in (Heard(None), Said("What"), Answered(None, was_interrupted=True)):
        screen.show(notice)
    screen.show(Answered(None, problem="no\nworker"))
    assert capsys.readouterr() == (
        "you     Where?\n"
        "answer  In Oslo, I think.\n"
        f"        {describe(waits)}\n"
        "you     (not understood)\n"
        "answer  What …\n",
        "antiphon: no whole answer came: no worker\n",
    )
    assert screen.has_failed
    assert (
        describe(waits)
        == "end noticed after 0.50 s, first word after 1.25 s, first sound after 1.50 s, whole after 3.00 s"
    )
    assert describe(Waits(0.5, None, None, 0.75)) == "end noticed after 0.50 s, whole after 0.75 s"


def test_what_was_played_of_an_answer_is_told_to_the_millisecond() -> None:
    loudspeaker = Loudspeaker()
    loudspeaker.play("item_1", bytes(range(256)) * 3)
    loudspeaker.play("item_1", bytes(ONE_MS * 100))
    loudspeaker.play("item_2", bytes(ONE_MS))
    room = bytearray(ONE_MS * 30)
    loudspeaker.fill(memoryview(room))
    assert bytes(room) == bytes(range(256)) * 3 + bytes(ONE_MS * 30 - 768)
    assert loudspeaker.stop() == [Cut("item_1", played_ms=30), Cut("item_2", played_ms=0)]
    assert loudspeaker.is_quiet
    loudspeaker.fill(memoryview(room))
    assert bytes(room) == bytes(len(room))
    assert loudspeaker.stop() == []


def test_an_answer_that_was_heard_to_its_end_is_not_cut() -> None:
    loudspeaker = Loudspeaker()
    loudspeaker.play("item_1", bytes(ONE_MS))
    loudspeaker.fill(memoryview(bytearray(ONE_MS * 2)))
    assert loudspeaker.stop() == []


def test_the_answers_make_one_file_that_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "answers.wav"
    with pytest.raises(KeyboardInterrupt), into_file(path) as file:
        file.play("item_1", PCM)
        file.play("item_2", PCM)
        raise KeyboardInterrupt
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (24_000, 1)
        assert sound.readframes(1000) == PCM * 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_session_says_only_what_was_asked_for() -> None:
    assert "instructions" not in LineOptions().session()
    assert LineOptions(instructions="").session()["instructions"] == ""


def test_without_a_platform_it_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["talk"], env={"ANTIPHON_STATE_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert result.stderr.startswith("antiphon: no platform is running here")


def test_answers_are_written_as_wav_alone(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["talk", "-f", "a.wav", "-o", "a.mp3"], env={"ANTIPHON_STATE_DIR": str(tmp_path)})
    assert (result.exit_code, result.stderr) == (1, "antiphon: a.mp3: answers are written as .wav\n")
