"""A session that interprets: what its client is told, in which order, and what it has done."""

from __future__ import annotations

import pytest

from services.realtime.interpreting.interpretation import STALL_MS
from services.realtime.interpreting.interpreter import AT_ONCE, MOST_PENDING
from services.realtime.session.commands import Listen, Respond, Say, StopTranscribing, Transcribe
from services.realtime.session.happenings import ClientEvent, ClientLeft, Refused, Ticked
from tests.unit.realtime.interpretation_talk import (
    BROKEN,
    EXPIRES_S,
    SESSION_ID,
    SILENT,
    VOICED,
    Talk,
    facts,
)

pytestmark = pytest.mark.unit


def talk_with_transcripts(**changes: str) -> Talk:
    talk = Talk()
    talk.update(transcription={"model": "whisper-1"}, **changes)
    return talk


# -- the session -------------------------------------------------------------------------------------------------------


def test_a_session_begins_with_its_settings_and_listens_for_voices() -> None:
    talk = Talk()
    assert talk.events[0]["type"] == "session.created"
    assert talk.events[0]["session"]["id"] == SESSION_ID
    assert talk.commands == [Listen("audio/pcm", detect=True, noise_reduction=None)]


def test_an_update_is_answered_with_the_whole_session() -> None:
    talk = Talk()
    [updated] = talk.update(language="ja", noise_reduction={"type": "near_field"}, transcription={"model": "whisper-1"})
    assert updated["type"] == "session.updated"
    assert updated["session"]["audio"] == {
        "input": {"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "near_field"}},
        "output": {"language": "ja"},
    }
    assert talk.commands[-1] == Listen("audio/pcm", detect=True, noise_reduction="near_field")


def test_an_update_of_something_else_is_refused_with_its_name() -> None:
    talk = Talk()
    for session, param in (
        ({"type": "translation"}, "session.type"),
        ({"instructions": "Be brief."}, "session.instructions"),
        ({"audio": {"output": {"voice": "alloy"}}}, "session.audio.output.voice"),
        ({"audio": {"input": {"turn_detection": None}}}, "session.audio.input.turn_detection"),
    ):
        [told] = talk.send("session.update", event_id="mine", session=session)
        assert (told["error"]["code"], told["error"]["param"]) == ("unknown_parameter", param)
        assert told["error"]["event_id"] == "mine"


def test_a_language_that_cannot_be_spoken_is_refused_with_those_that_can() -> None:
    [told] = Talk().update(language="de")
    assert (told["error"]["code"], told["error"]["param"]) == ("unsupported_value", "session.audio.output.language")
    assert "'en', 'es', and 'ja'" in told["error"]["message"]


@pytest.mark.parametrize("language", ["nl", "klingon", ""])
def test_a_language_that_is_not_on_offer_anywhere_is_invalid(language: str) -> None:
    talk = Talk()
    [told] = talk.send("session.update", session={"audio": {"output": {"language": language}}})
    assert (told["error"]["code"], told["error"]["param"]) == ("invalid_value", "session.audio.output.language")


def test_a_session_that_begins_with_a_language_out_of_reach_is_told() -> None:
    talk = Talk(facts=facts(spoken_languages=("ja",)))
    assert [error["code"] for error in talk.errors] == ["unsupported_value"]
    talk.speak()
    assert not talk.open


def test_without_a_language_model_only_english_is_within_reach() -> None:
    talk = Talk(facts=facts(model=""))
    [told] = talk.update(language="es")
    assert "Supported values are: 'en'." in told["error"]["message"]


def test_a_locked_session_is_not_changed() -> None:
    talk = Talk(facts=facts(locked=True))
    [told] = talk.update(language="ja")
    assert told["type"] == "error"
    assert talk.machine.changes() == {}


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "invalid_event", "type"),
        ({"type": 7}, "invalid_type", "type"),
        ({"type": "response.create"}, "invalid_value", "type"),
        ({"type": "session.close", "event_id": 7}, "invalid_value", "event_id"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": "en"}, "invalid_type", "session"),
        ({"type": "session.update", "session": {}, "model": "m"}, "unknown_parameter", "model"),
    ],
)
def test_events_that_make_no_sense_are_told_and_the_session_goes_on(
    event: dict[str, object], code: str, param: str
) -> None:
    talk = Talk()
    event = {"event_id": "mine", **event}
    talk.step(ClientEvent(event))
    [error] = talk.errors
    assert (error["code"], error["param"]) == (code, param)
    assert error["event_id"] == ("mine" if event["event_id"] == "mine" else None)
    talk.speak()
    assert talk.orders(Transcribe)


def test_what_the_door_refuses_is_told() -> None:
    talk = Talk()
    talk.step(Refused(BROKEN, "theirs"))
    assert [error["event_id"] for error in talk.errors] == ["theirs"]


# -- interpreting ------------------------------------------------------------------------------------------------------


def test_speech_is_translated_and_spoken() -> None:
    talk = Talk()
    talk.speak()
    [order] = talk.orders(Transcribe)
    assert order.translate and order.model == "gpt-realtime-translate"
    talk.recognise(order, " Good morning. ")
    assert talk.read == "Good morning."
    [say] = talk.orders(Say)
    assert (say.text, say.model, say.voice, say.speed) == ("Good morning.", "a-voice", "marin", 1.0)
    talk.sound(say, b"\1\0" * 240)
    talk.finish(say)
    [sound] = talk.told("session.output_audio.delta")
    assert (sound["sample_rate"], sound["channels"], sound["format"]) == (24_000, 1, "pcm16")
    assert sound["elapsed_ms"] % 200 == 0
    assert [name for name in talk.kept if name.startswith("utterance")] == []


def test_what_was_said_is_told_only_to_who_wants_it() -> None:
    talk = talk_with_transcripts()
    talk.speak()
    talk.recognise(talk.hearing(1, 0), "Buenos días.")
    assert (talk.read_input, talk.read) == ("Buenos días.", "")
    talk.recognise(talk.hearing(1, 1), "Good morning.")
    assert talk.read == "Good morning."


def test_into_other_languages_the_words_are_translated_by_the_language_model() -> None:
    talk = Talk()
    talk.update(language="es")
    talk.speak()
    talk.recognise(talk.hearing(1, 0), "Good morning.", "en")
    [order] = talk.orders(Respond)
    assert (order.job.model, order.job.options.temperature) == ("an-llm", 0.0)
    assert "Spanish" in str(order.job.messages[0])
    talk.translate(order, ' "Buenos días." ')
    assert talk.read == "Buenos días."
    assert talk.read_input == ""


def test_the_language_model_is_told_the_two_sentences_before() -> None:
    talk = Talk()
    talk.update(language="es")
    for number in range(1, 5):
        talk.speak()
        talk.recognise(talk.hearing(number, 0), f"Sentence {number}.", "en")
        [order] = talk.orders(Respond)
        talk.translate(order, f"Frase {number}.")
    said = [part.text for message in order.job.messages[1:] for part in message.content if part.type == "text"]
    for text, part in zip(["Sentence 2.", "Frase 2.", "Sentence 3.", "Frase 3.", "Sentence 4."], said, strict=True):
        assert text in part


def test_speech_in_the_target_language_is_passed_on_unchanged() -> None:
    talk = Talk()
    talk.update(language="es")
    talk.speak()
    talk.recognise(talk.hearing(1, 0), "Buenos días.", "es")
    assert talk.read == "Buenos días."
    assert not talk.orders(Respond)
    assert [say.text for say in talk.orders(Say)] == ["Buenos días."]


def test_english_that_was_written_down_is_not_translated_into_english() -> None:
    talk = talk_with_transcripts()
    talk.speak()
    talk.recognise(talk.hearing(1, 0), "Good morning.", "en")
    assert talk.read == talk.read_input == "Good morning."
    assert not talk.orders(Transcribe)


def test_a_new_language_holds_from_the_next_utterance_on() -> None:
    talk = Talk()
    talk.speak()
    talk.update(language="ja")
    talk.speak()
    assert [order.translate for order in talk.orders(Transcribe)] == [True, False]


def test_the_order_of_the_speech_is_kept_when_later_translations_are_there_first() -> None:
    talk = talk_with_transcripts()
    for _ in range(3):
        talk.speak()
    for hearing, texts in ((0, ("uno", "dos", "tres")), (1, ("one", "two", "three"))):
        for number in (3, 1, 2):
            talk.recognise(talk.hearing(number, hearing), texts[number - 1])
    assert (talk.read_input, talk.read) == ("uno dos tres", "one two three")
    spoken = []
    while orders := talk.orders(Say):
        [say] = orders
        spoken.append(say.text)
        talk.finish(say)
    assert spoken == ["one", "two", "three"]


def test_words_do_not_wait_for_the_sound_of_those_before() -> None:
    talk = Talk()
    for number in (1, 2):
        talk.speak()
        talk.recognise(talk.hearing(number, 1), f"Sentence {number}.")
    assert talk.read == "Sentence 1. Sentence 2."
    assert [say.text for say in talk.orders(Say)] == ["Sentence 1."]


def test_languages_without_spaces_get_none() -> None:
    talk = Talk()
    talk.update(language="ja")
    for number in (1, 2):
        talk.speak()
        talk.recognise(talk.hearing(number, 0), "おはよう。", "ja")
    assert talk.read == "おはよう。おはよう。"


def test_noise_is_neither_told_nor_spoken() -> None:
    talk = talk_with_transcripts()
    talk.speak()
    for order in talk.orders(Transcribe):
        talk.recognise(order, "")
    talk.speak()
    talk.recognise(talk.hearing(2, 1), "…")
    assert not talk.orders(Say)
    assert talk.read == "…"


def test_a_listener_who_falls_behind_is_spoken_to_faster() -> None:
    talk = Talk()
    speeds = []
    for number in (1, 2, 3):
        talk.speak()
        talk.recognise(talk.hearing(number, 1), "A long sentence.")
        [say] = talk.orders(Say)
        speeds.append(say.speed)
        talk.sound(say, bytes(48_000 * 7))
        talk.finish(say)
    assert speeds == [1.0, 1.15, 1.3]


def test_what_cannot_be_translated_is_told_and_left_out() -> None:
    talk = Talk()
    talk.update(language="es", transcription={"model": "whisper-1"})
    for _ in range(3):
        talk.speak()
    talk.fail(talk.hearing(1, 0))
    for number in (2, 3):
        talk.recognise(talk.hearing(number, 0), f"Sentence {number}.", "en")
    talk.fail(talk.orders(Respond)[0])
    talk.translate(talk.orders(Respond)[0], "Frase 3.")
    assert [error["code"] for error in talk.errors] == ["internal_error"] * 2
    assert (talk.read_input, talk.read) == ("Sentence 2. Sentence 3.", "Frase 3.")
    talk.fail(talk.orders(Say)[0])
    assert len(talk.errors) == 3
    talk.send("session.close")
    assert talk.told("session.closed")


# -- the stream --------------------------------------------------------------------------------------------------------


def test_input_that_stays_away_ends_an_utterance() -> None:
    talk = Talk()
    talk.hear([VOICED] * 40)
    assert talk.machine.wake_at_ms == STALL_MS
    talk.now_ms = STALL_MS
    talk.step(Ticked())
    [order] = talk.orders(Transcribe)
    assert (order.start, order.stop) == (0, 40 * 512)


def test_the_audio_that_is_still_to_be_heard_is_kept_and_no_more() -> None:
    talk = Talk()
    talk.hear([SILENT] * 1_000)
    assert talk.machine.audio_from > 980 * 512
    talk.speak()
    [order] = talk.orders(Transcribe)
    assert talk.machine.audio_from == order.start
    talk.hear([SILENT] * 100)
    assert talk.machine.audio_from == order.start
    talk.recognise(order, "Done.")
    assert talk.machine.audio_from > order.stop


def test_utterances_that_wait_are_joined() -> None:
    talk = Talk()
    for _ in range(AT_ONCE + 3):
        talk.speak()
    orders = talk.orders(Transcribe)
    assert len(orders) == AT_ONCE
    talk.recognise(orders[0], "One.")
    joined = talk.orders(Transcribe)[-1]
    assert joined.stop - joined.start > 2 * (orders[0].stop - orders[0].start)


def test_a_backlog_is_bounded_and_what_is_left_out_is_told() -> None:
    talk = Talk()
    for number in range(MOST_PENDING + 10):
        talk.update(language=("en", "es")[number % 2])
        talk.speak(10)
    assert len([name for name in talk.kept if name.startswith("utterance")]) == MOST_PENDING
    assert [error["code"] for error in talk.errors] == ["input_skipped"] * 10
    assert any(isinstance(command, StopTranscribing) for command in talk.commands)


def test_input_that_is_not_heard_in_time_is_left_out() -> None:
    talk = Talk(facts=facts(buffer_limit_ms=10_000))
    talk.speak()
    talk.hear([SILENT] * 400)
    assert [error["code"] for error in talk.errors] == ["input_skipped"]
    assert not talk.open
    assert talk.machine.audio_from > 380 * 512


# -- the end -----------------------------------------------------------------------------------------------------------


def test_closing_flushes_what_is_pending_first() -> None:
    talk = Talk()
    talk.hear([VOICED] * 40)
    assert talk.send("session.close") == []
    talk.recognise(talk.hearing(1, 1), "Last words.")
    [say] = talk.orders(Say)
    talk.sound(say, b"\1\0")
    assert talk.ended is None
    talk.finish(say)
    assert [event["type"] for event in talk.events[-2:]] == ["session.output_audio.delta", "session.closed"]
    assert talk.ended is not None and talk.ended.code == 1000


def test_closing_a_session_with_nothing_pending_closes_it_at_once() -> None:
    talk = Talk()
    assert [event["type"] for event in talk.send("session.close")] == ["session.closed"]
    assert talk.ended is not None


def test_what_is_appended_after_closing_is_not_heard() -> None:
    talk = Talk()
    talk.speak()
    talk.send("session.close")
    talk.speak()
    assert len(talk.orders(Transcribe)) == 1


def test_a_session_expires() -> None:
    talk = Talk()
    assert talk.machine.wake_at_ms == EXPIRES_S * 1000
    talk.speak()
    talk.now_ms = EXPIRES_S * 1000
    talk.step(Ticked())
    assert talk.errors[-1]["code"] == "session_expired"
    assert "67 minutes" in talk.errors[-1]["message"]
    assert talk.ended is not None and talk.ended.code == 1001
    assert not talk.open
    assert talk.machine.wake_at_ms is None


def test_work_for_a_client_that_left_is_stopped() -> None:
    talk = Talk()
    talk.speak()
    before = len(talk.events)
    talk.step(ClientLeft())
    assert not talk.open
    assert talk.send("session.close") == []
    assert len(talk.events) == before


# -- another worker ----------------------------------------------------------------------------------------------------


def test_a_successor_orders_again_what_was_under_way() -> None:
    talk = talk_with_transcripts()
    for _ in range(2):
        talk.speak()
    talk.recognise(talk.hearing(1, 1), "One.")
    [say] = talk.orders(Say)
    talk.sound(say, bytes(100))
    before = list(talk.open)
    talk.open.clear()
    talk.take_over()
    assert sorted(talk.open) == sorted(before)
    [say] = talk.orders(Say)
    assert say.after == 100
    assert talk.commands.count(Listen("audio/pcm", detect=True, noise_reduction=None)) == 2


def test_sound_that_was_had_is_not_had_twice() -> None:
    talk = Talk()
    talk.speak()
    talk.recognise(talk.hearing(1, 1), "One.")
    [say] = talk.orders(Say)
    talk.sound(say, b"abcd")
    talk.take_over()
    talk.sound(say, b"ab", start=0)
    talk.sound(say, b"cdef", start=2)
    assert talk.listened == b"abcdef"


def test_a_successor_of_a_session_that_has_ended_ends_it() -> None:
    talk = Talk()
    talk.send("session.close")
    end = talk.ended
    talk.commands.clear()
    talk.take_over()
    assert talk.commands == [end]
