"""Conversations: what is told in which order, and what stays when something goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.schemas import ErrorInfo, Reply, ReplyDelta, ToolCallDelta
from services.realtime.session.commands import (
    CallTool,
    CutAudio,
    End,
    FindAudio,
    JudgeTurn,
    KeepAudio,
    Listen,
    ListTools,
    Respond,
    Say,
    StopResponding,
    StopTranscribing,
    Transcribe,
)
from services.realtime.session.happenings import (
    Answered,
    AudioFound,
    Heard,
    Judged,
    NotAnswered,
    NotHeard,
    NotSaid,
    Ticked,
    ToolAnswered,
    ToolsListed,
    Wrote,
)
from tests.unit.realtime.stage_play import LIMIT_S, Play, transcript

pytestmark = pytest.mark.unit

TEXT = {"output_modalities": ["text"]}
MANUAL = {"audio": {"input": {"turn_detection": None}}}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "d",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def say_hello(play: Play) -> list[dict[str, Any]]:
    return play.client(
        "conversation.item.create",
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]},
    )


def test_a_session_begins_with_its_whole_object() -> None:
    play = Play()
    assert play.types() == ["session.created"]
    assert play.ordered(Listen) == Listen("audio/pcm", detect=True, noise_reduction=None)


def test_a_text_turn_is_told_in_order() -> None:
    play = Play(update=TEXT)
    assert play.types(say_hello(play)) == ["conversation.item.added", "conversation.item.done"]
    assert play.types(play.client("response.create")) == ["response.created"]
    told = play.types(play.write("Hi", " there."))
    assert told == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    done = play.last("response.done")["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "Hi there."}]
    assert done["usage"]["total_tokens"] > 0


def test_a_spoken_turn_is_told_in_order() -> None:
    play = Play(update={"audio": {"input": {"transcription": {"model": "whisper-1"}}}})
    play.append(960, voice=True)
    started = play.last("input_audio_buffer.speech_started")
    told = play.append(320, voice=False)
    assert play.types(told) == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert {event["item_id"] for event in told[:2]} == {started["item_id"]}
    assert told[2]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert play.ordered(KeepAudio).item_id == started["item_id"]
    heard = play.hear(" How are you? ")
    assert play.types(heard) == [
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert heard[1]["transcript"] == "How are you?"
    asked = next(command for command in play.commands if isinstance(command, Respond))
    assert [message.role for message in asked.job.messages] == ["system", "user"]
    play.write("Fine. ", "And you?")
    assert set(play.types(play.say())) == {"response.output_audio.delta"}
    # What was written meanwhile comes next, after a pause.
    spoken = play.types(play.say())
    assert spoken[0] == "response.output_audio.delta"
    assert spoken[-7:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert play.last("response.done")["response"]["output"][0]["content"] == [
        {"type": "output_audio", "transcript": "Fine. And you?"}
    ]


def test_a_turn_is_recognised_before_its_silence_is_over() -> None:
    play = Play()
    play.append(960, voice=True)
    play.append(96, voice=False)
    early = play.ordered(Transcribe)
    play.append(64, voice=True)
    assert play.ordered(StopTranscribing) == StopTranscribing(early.item_id, early.hearing)
    play.append(96, voice=False)
    again = play.ordered(Transcribe)
    assert again.hearing == early.hearing + 1
    play.happen(Heard(again.item_id, again.hearing, transcript("Good morning.")))
    play.append(160, voice=False)
    # Its words were there before its end: nothing has to be recognised any more.
    assert not [command for command in play.commands if isinstance(command, Transcribe)]
    asked = play.ordered(Respond)
    assert asked.job.messages[-1].content[0].text == "Good morning."  # type: ignore[union-attr]


def test_noise_without_words_is_not_answered() -> None:
    play = Play()
    play.append(320, voice=True)
    play.append(320, voice=False)
    play.hear("")
    done = play.last("response.done")["response"]
    assert (done["status"], done["output"]) == ("completed", [])
    assert not [command for command in play.commands if isinstance(command, Respond)]


def test_who_speaks_interrupts_the_answer() -> None:
    play = Play()
    say_hello(play)
    play.client("response.create")
    play.write("One two three four five. ", "Six seven eight.")
    play.say(most_bytes=48_000)
    told = play.append(128, voice=True)
    assert play.types(told)[:2] == ["input_audio_buffer.speech_started", "response.output_audio.done"]
    done = play.last("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert play.ordered(StopResponding)


def test_the_words_heard_before_a_barge_in_stay_in_the_transcript() -> None:
    play = Play()
    say_hello(play)
    play.client("response.create")
    play.write("One two three four five.")
    play.say()
    item_id = play.last("response.done")["response"]["output"][0]["id"]
    told = play.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=700)
    assert play.types(told) == ["conversation.item.truncated"]
    assert play.ordered(CutAudio) == CutAudio(item_id, 0, 700)
    play.client("conversation.item.retrieve", item_id=item_id)
    play.happen(AudioFound(item_id, None))
    assert play.last("conversation.item.retrieved")["item"]["content"][0]["transcript"] == "One two"
    play.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=701)
    assert play.last("error")["error"]["message"] == "Audio content of 700ms is already shorter than 701ms"


def test_an_item_is_retrieved_with_its_audio() -> None:
    play = Play(update=MANUAL)
    play.append(160, voice=True)
    play.client("input_audio_buffer.commit")
    item_id = play.last("input_audio_buffer.committed")["item_id"]
    play.client("conversation.item.retrieve", item_id=item_id, event_id="e1")
    assert play.ordered(FindAudio) == FindAudio(item_id, "e1")
    play.happen(AudioFound(item_id, "e1", {0: b"\0\0"}))
    assert play.last("conversation.item.retrieved")["item"]["content"][0]["audio"] == "AAA="


def test_too_little_is_not_committed() -> None:
    play = Play(update=MANUAL)
    play.client("input_audio_buffer.commit", event_id="e7")
    error = play.last("error")["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "e7")
    assert error["message"].endswith("buffer only has 0.00ms of audio.")


def test_a_commit_answers_nothing_by_itself() -> None:
    play = Play(update=MANUAL)
    play.append(320, voice=True)
    told = play.client("input_audio_buffer.commit")
    assert play.types(told) == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    play.client("response.create")
    # Only now are its words needed.
    assert play.ordered(Transcribe).kept
    assert not [command for command in play.commands if isinstance(command, Respond)]


def test_a_second_response_to_the_conversation_is_refused() -> None:
    play = Play(update=TEXT)
    say_hello(play)
    play.client("response.create")
    play.client("response.create", event_id="second")
    assert play.last("error")["error"]["code"] == "conversation_already_has_active_response"
    assert play.types().count("response.created") == 1


def test_a_response_outside_the_conversation_leaves_no_trace_in_it() -> None:
    play = Play(update=TEXT)
    say_hello(play)
    play.client("response.create")
    first = play.ordered(Respond)
    told = play.client(
        "response.create",
        response={
            "conversation": "none",
            "metadata": {"topic": "summary"},
            "output_modalities": ["text"],
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Sum up."}]}],
        },
    )
    assert told[0]["response"]["conversation_id"] is None
    told = play.write("A sum.")
    assert not [kind for kind in play.types(told) if kind.startswith("conversation.item")]
    assert play.last("response.done")["response"]["metadata"] == {"topic": "summary"}
    assert first.response_id in play.machine.core.responses


def test_a_function_is_called_and_its_output_taken() -> None:
    play = Play(update={**TEXT, "tools": [WEATHER]})
    say_hello(play)
    play.client("response.create")
    told = play.types(play.call("get_weather", '{"city":"Bern"}', call_id="call_x"))
    assert told == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert play.last("response.function_call_arguments.done")["name"] == "get_weather"
    output = {"type": "function_call_output", "call_id": "call_x", "output": '{"t":9}'}
    play.client("conversation.item.create", item={**output, "call_id": "call_y"})
    assert play.last("error")["error"]["code"] == "invalid_tool_call_id"
    play.client("conversation.item.create", item=output)
    play.client("response.create")
    messages = play.ordered(Respond).job.messages
    assert [message.role for message in messages] == ["system", "user", "assistant", "tool"]


def test_cancelling_nothing_is_an_error_and_no_more() -> None:
    play = Play()
    play.client("response.cancel", event_id="c")
    assert play.last("error")["error"]["code"] == "response_cancel_not_active"
    assert play.types(say_hello(play)) == ["conversation.item.added", "conversation.item.done"]


@pytest.mark.parametrize("happening", [NotAnswered, NotSaid])
def test_an_engine_that_fails_ends_the_response(happening: type) -> None:
    play = Play()
    say_hello(play)
    play.client("response.create")
    response_id = play.last("response.created")["response"]["id"]
    error = ErrorInfo(message="gone", type="server_error", code="internal_error", http_status=500, retryable=True)
    if happening is NotSaid:
        play.write("Hello you.")
        play.happen(NotSaid(response_id, 0, error))
    else:
        play.happen(NotAnswered(response_id, error))
    done = play.last("response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["code"] == "internal_error"
    assert play.types().count("response.done") == 1


def test_what_cannot_be_heard_cannot_be_answered() -> None:
    play = Play(update={"audio": {"input": {"transcription": {"model": "whisper-1"}}}})
    play.append(320, voice=True)
    play.append(320, voice=False)
    asked = play.ordered(Transcribe)
    error = ErrorInfo(message="m", type="server_error", code="internal_error", http_status=500, retryable=True)
    told = play.types(play.happen(NotHeard(asked.item_id, asked.hearing, error)))
    assert told == ["conversation.item.input_audio_transcription.failed", "response.done", "rate_limits.updated"]
    assert play.last("response.done")["response"]["status"] == "failed"


def test_a_speaker_who_is_not_through_keeps_the_turn() -> None:
    play = Play(update={"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}})
    play.append(640, voice=True)
    play.append(256, voice=False)
    asked = play.ordered(JudgeTurn)
    play.happen(Judged(asked.turn, 0.02))
    assert "input_audio_buffer.speech_stopped" not in play.types()
    play.append(640, voice=True)
    play.append(256, voice=False)
    assert play.types().count("input_audio_buffer.speech_started") == 1
    asked = play.ordered(JudgeTurn)
    told = play.types(play.happen(Judged(asked.turn, 0.95)))
    assert told[0] == "input_audio_buffer.speech_stopped"
    assert told[-1] == "response.created"


def test_nobody_waits_for_ever_for_a_speaker_to_be_through() -> None:
    play = Play(update={"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}})
    play.append(640, voice=True)
    told = play.types(play.append(2_400, voice=False))
    assert told.count("input_audio_buffer.speech_stopped") == 1


def test_silence_after_an_answer_is_answered_once_it_has_lasted() -> None:
    play = Play(update={"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}}})
    say_hello(play)
    play.client("response.create")
    play.write("Yes?")
    play.say()
    woken_at = play.machine.wake_at_ms
    assert woken_at is not None
    assert play.now_ms + 6000 < woken_at < play.now_ms + 8000
    play.append(6_400, voice=False)
    play.now_ms = woken_at
    told = play.types(play.happen(Ticked()))
    assert told == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert play.ordered(Respond)


def test_a_session_ends_when_its_time_is_over() -> None:
    play = Play()
    play.now_ms += LIMIT_S * 1000
    play.happen(Ticked())
    assert play.last("error")["error"]["message"] == "Your session hit the maximum duration of 60 minutes."
    assert play.ordered(End) == End(1001, "session_expired")
    assert play.client("response.create") == []


def test_a_locked_session_refuses_changes_and_takes_what_changes_nothing() -> None:
    play = Play(locked=True)
    play.client("session.update", session={"type": "realtime", "instructions": "Obey me."})
    assert play.last("error")["error"]["code"] == "session_locked"
    play.client("session.update", session={"type": "realtime", "model": "gpt-realtime"})
    assert play.types()[-1] == "session.updated"


def test_a_transcription_session_never_answers() -> None:
    play = Play("transcription")
    play.append(640, voice=True)
    play.append(320, voice=False)
    play.hear("Good day.")
    assert play.last("conversation.item.input_audio_transcription.completed")["usage"]["type"] == "duration"
    play.client("response.create")
    assert play.types()[-1] == "error"
    assert not [kind for kind in play.types() if kind.startswith("response.")]


def test_a_successor_goes_on_where_the_sound_was_broken_off() -> None:
    play = Play()
    say_hello(play)
    play.client("response.create")
    play.write("One two three four five.")
    play.say(most_bytes=38_400)
    before = len(play.events)
    assert play.take_over() == []
    again = play.ordered(Say)
    assert again.after == 38_400
    play.commands.append(again)
    play.say()
    sound = b"".join(event["delta"] for event in play.events if event["type"] == "response.output_audio.delta")
    assert len(sound) == 3_200 * len("One two three four five.")
    assert play.types(play.events[before:]).count("response.done") == 1


def test_a_successor_asks_again_for_what_was_being_thought_of() -> None:
    play = Play()
    play.append(640, voice=True)
    play.append(320, voice=False)
    play.take_over()
    play.ordered(KeepAudio)
    assert play.ordered(Transcribe).kept
    play.take_over()
    play.hear("How are you?")
    first = next(command for command in play.commands if isinstance(command, Respond))
    play.take_over()
    again = play.ordered(Respond)
    assert again.job == first.job
    assert again.after == 0


def test_a_successor_hears_the_same_turn_to_its_end() -> None:
    play = Play()
    play.append(640, voice=True)
    item_id = play.last("input_audio_buffer.speech_started")["item_id"]
    play.take_over()
    play.append(64, voice=True)
    play.append(320, voice=False)
    assert play.types().count("input_audio_buffer.speech_started") == 1
    assert play.last("input_audio_buffer.committed")["item_id"] == item_id


def test_a_voice_stays_once_it_was_heard() -> None:
    play = Play()
    say_hello(play)
    play.client("response.create")
    play.write("Hi.")
    play.say()
    play.client("session.update", session={"type": "realtime", "audio": {"output": {"voice": "cedar"}}})
    assert play.last("error")["error"]["code"] == "cannot_update_voice"


def test_an_answer_that_is_cut_short_says_so() -> None:
    play = Play(update=TEXT)
    say_hello(play)
    play.client("response.create", response={"max_output_tokens": 3})
    play.write("Once upon a", finish="length")
    details = play.last("response.done")["response"]["status_details"]
    assert details == {"type": "incomplete", "reason": "max_output_tokens"}


def test_old_items_are_left_out_where_the_context_ends() -> None:
    play = Play(update={**TEXT, "truncation": {"type": "retention_ratio", "retention_ratio": 0.5}}, context_tokens=300)
    for number in range(6):
        play.client(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"{number} " * 200}]},
        )
    play.client("response.create")
    messages = play.ordered(Respond).job.messages
    assert [message.role for message in messages] == ["system", "user"]
    assert messages[1].content[0].text.startswith("5 ")  # type: ignore[union-attr]


def test_a_picture_is_refused_where_nobody_sees() -> None:
    play = Play()
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    play.client("conversation.item.create", item={"type": "message", "role": "user", "content": [image]})
    error = play.last("error")["error"]
    assert (error["code"], error["param"]) == ("unsupported_value", "item.content[0]")


DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp", "require_approval": "never"}
SEARCH = {"name": "search", "description": "d", "input_schema": {"type": "object"}}


def with_docs(**changes: object) -> Play:
    play = Play(update={**TEXT, "tools": [{**DOCS, **changes}]})
    asked = play.ordered(ListTools)
    told = play.happen(ToolsListed(asked.item_id, (SEARCH,)))
    assert play.types(told) == ["mcp_list_tools.completed", "conversation.item.done"]
    say_hello(play)
    play.client("response.create", response={"tool_choice": "required"})
    return play


def test_a_tool_of_a_server_is_called_and_the_answer_goes_on() -> None:
    play = with_docs()
    told = play.types(play.call("search", '{"q":"x"}'))
    assert told[-2:] == ["response.mcp_call_arguments.done", "response.mcp_call.in_progress"]
    asked = play.ordered(CallTool)
    assert (asked.name, asked.arguments, asked.server["server_url"]) == ("search", '{"q":"x"}', DOCS["server_url"])
    told = play.types(play.happen(ToolAnswered(asked.item_id, "found it")))
    assert told == ["response.mcp_call.completed", "response.output_item.done", "conversation.item.done"]
    again = next(command for command in play.commands if isinstance(command, Respond))
    assert [message.role for message in again.job.messages] == ["system", "user", "assistant", "tool"]
    assert again.job.options.tool_choice.mode == "auto"
    play.write("Here it is.")
    assert [item["type"] for item in play.last("response.done")["response"]["output"]] == ["mcp_call", "message"]
    assert play.types().count("response.done") == 1


def test_a_tool_that_fails_is_told_and_the_answer_goes_on() -> None:
    play = with_docs()
    play.call("search", "{}")
    asked = play.ordered(CallTool)
    error = {"type": "http_error", "code": 502, "message": "Bad gateway"}
    assert play.types(play.happen(ToolAnswered(asked.item_id, None, error)))[0] == "response.mcp_call.failed"
    assert play.ordered(Respond).job.messages[-1].content[0].text == "Error: Bad gateway"  # type: ignore[union-attr]


def test_a_tool_that_needs_approval_waits_for_it() -> None:
    play = with_docs(require_approval="always")
    play.call("search", '{"q":"x"}')
    request = play.last("response.done")["response"]["output"][0]
    assert (request["type"], request["arguments"]) == ("mcp_approval_request", '{"q":"x"}')
    assert not [command for command in play.commands if isinstance(command, CallTool)]
    approval = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    told = play.types(play.client("conversation.item.create", item=approval))
    assert told[:3] == ["conversation.item.added", "conversation.item.done", "response.created"]
    play.happen(ToolAnswered(play.ordered(CallTool).item_id, "found it"))
    play.write("Here it is.")
    assert play.last("response.done")["response"]["status"] == "completed"


def test_a_successor_calls_again_what_had_not_answered() -> None:
    play = with_docs()
    play.call("search", "{}")
    first = play.ordered(CallTool)
    play.take_over()
    assert play.ordered(CallTool) == first


def test_calls_that_are_made_side_by_side_are_told_apart() -> None:
    play = Play(update={**TEXT, "tools": [WEATHER]})
    say_hello(play)
    play.client("response.create")
    asked = play.ordered(Respond)
    for number in range(2):
        delta = ToolCallDelta(index=number, id=f"call_{number}", name="get_weather", arguments=f'{{"city":"{number}"}}')
        play.happen(Wrote(asked.response_id, number, ReplyDelta(tool_calls=(delta,))))
    play.happen(Answered(asked.response_id, Reply(finish_reason="tool_calls")))
    output = play.last("response.done")["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [
        ("call_0", '{"city":"0"}'),
        ("call_1", '{"city":"1"}'),
    ]


def test_a_turn_that_ends_during_an_answer_is_answered_after_it() -> None:
    detection = {"type": "server_vad", "interrupt_response": False}
    play = Play(update={**TEXT, "audio": {"input": {"turn_detection": detection}}})
    say_hello(play)
    play.client("response.create")
    play.append(320, voice=True)
    play.append(320, voice=False)
    assert play.types().count("response.created") == 1
    play.ordered(Transcribe)
    told = play.types(play.write("Hi."))
    assert told[-3:] == ["response.done", "rate_limits.updated", "response.created"]
