"""A turn: written and spoken side by side, stopped at once, never half."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from antiphon.calling import Desk
from antiphon.dialogue.events import Ended, Restarted, Sounded, TurnEvent, Wrote
from antiphon.dialogue.speaking import PAUSE_S, Voice
from antiphon.dialogue.turn import READ_AHEAD, answer
from antiphon.errors import AntiphonError, Failure
from antiphon.schemas import Message, RespondJob, TextPart
from tests.eventually import eventually
from tests.integration.dialogue.conftest import SECONDS_A_TEXT, Speaker, Staff, Writer

pytestmark = pytest.mark.integration

VOICE = Voice(model="kokoro", name="alloy", tenant="default")
PIECES = ("The first", " sentence", " is here. ", "The second", " one follows. ", "And", " a third.")


def asked(*, restart: bool = True) -> RespondJob:
    return RespondJob(
        model="gpt-audio", messages=(Message(role="user", content=(TextPart(text="Say something."),)),), restart=restart
    )


def let_go(speaker: Speaker) -> Speaker:
    speaker.free.set()
    return speaker


async def test_the_first_sentence_is_spoken_while_the_rest_is_written(desk: Desk, staff: Staff) -> None:
    writer, speaker = Writer(PIECES, held_at=4), let_go(Speaker())
    heard: list[TurnEvent] = []
    async with (
        staff(writer, speaker),
        aclosing(answer(desk, asked(), voice=VOICE, timeout_s=20)) as events,
    ):
        async for event in events:
            heard.append(event)
            if isinstance(event, Sounded) and not writer.go_on.is_set():
                assert speaker.texts == ["The first sentence is here."]
                writer.go_on.set()
    assert "".join(event.text for event in heard if isinstance(event, Wrote)) == "".join(PIECES)
    assert " ".join(speaker.texts) == "The first sentence is here. The second one follows. And a third."
    end = heard[-1]
    assert isinstance(end, Ended)
    assert end.reply.text == "".join(PIECES)
    pauses = len(speaker.texts) - 1
    assert end.speech_s == pytest.approx(len(speaker.texts) * SECONDS_A_TEXT + pauses * PAUSE_S)
    assert sum(len(event.pcm) for event in heard if isinstance(event, Sounded)) == round(end.speech_s * 48_000)


async def test_without_a_voice_nothing_is_spoken(desk: Desk, staff: Staff) -> None:
    speaker = let_go(Speaker())
    async with staff(Writer(PIECES), speaker):
        events = [event async for event in answer(desk, asked(), voice=None, timeout_s=20)]
    assert [type(event) for event in events] == [Wrote] * len(PIECES) + [Ended]
    assert not speaker.texts


async def test_a_listener_who_leaves_stops_the_tokens_and_the_speech(desk: Desk, staff: Staff) -> None:
    writer, speaker = Writer(PIECES, held_at=5), Speaker()
    async with staff(writer, speaker):
        async with aclosing(answer(desk, asked(), voice=VOICE, timeout_s=20)) as events:
            await anext(events)
            await eventually(lambda: speaker.texts and len(writer.written) == 5)
        await asyncio.wait_for(asyncio.gather(writer.cancelled.wait(), speaker.cancelled.wait()), 5)
    assert writer.written == list(PIECES[:5])


async def test_a_slow_listener_holds_up_the_reading_and_loses_nothing(desk: Desk, staff: Staff) -> None:
    pieces = tuple(f"word{number} " for number in range(400))
    writer = Writer(pieces)
    async with (
        staff(writer, Speaker()),
        aclosing(answer(desk, asked(), voice=None, timeout_s=20)) as events,
    ):
        first = await anext(events)
        # The writer is never held up by who listens: its words wait in Redis, not in the door's memory.
        await eventually(lambda: len(writer.written) == len(pieces))
        rest = [event async for event in events]
    told = [event.text for event in [first, *rest] if isinstance(event, Wrote)]
    assert "".join(told) == "".join(pieces)
    assert len(pieces) > READ_AHEAD


async def test_an_answer_that_breaks_off_begins_anew(desk: Desk, staff: Staff) -> None:
    writer, speaker = Writer(PIECES, breaks_at=5), let_go(Speaker())
    async with staff(writer, speaker):
        events = [event async for event in answer(desk, asked(), voice=VOICE, timeout_s=20)]
    again = next(place for place, event in enumerate(events) if isinstance(event, Restarted))
    assert "".join(event.text for event in events[again:] if isinstance(event, Wrote)) == "".join(PIECES)
    end = events[-1]
    assert isinstance(end, Ended)
    assert sum(len(event.pcm) for event in events[again:] if isinstance(event, Sounded)) == round(end.speech_s * 48_000)


async def test_an_answer_that_may_not_begin_anew_says_at_once_why_it_broke_off(desk: Desk, staff: Staff) -> None:
    writer = Writer(PIECES, breaks_at=5)
    async with staff(writer, let_go(Speaker())):
        with pytest.raises(AntiphonError, match="It broke off") as raised:
            async for _ in answer(desk, asked(restart=False), voice=VOICE, timeout_s=20):
                pass
    assert raised.value.info().code == "upstream_error"
    assert writer.attempts == 1


async def test_speech_that_fails_ends_the_turn(desk: Desk, staff: Staff) -> None:
    class Hoarse(Speaker):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            self.texts.append(job.text)
            raise Failure("no voice")

    writer, speaker = Writer(PIECES, held_at=5), Hoarse()
    async with staff(writer, speaker):
        with pytest.raises(AntiphonError, match="no voice"):
            async for _ in answer(desk, asked(), voice=VOICE, timeout_s=20):
                pass
        await asyncio.wait_for(writer.cancelled.wait(), 5)
    assert len(speaker.texts) > 1


async def test_a_turn_whose_time_is_over_says_so(desk: Desk, staff: Staff) -> None:
    writer = Writer(PIECES, held_at=2)
    async with staff(writer, Speaker()):
        with pytest.raises(AntiphonError) as raised:
            async for _ in answer(desk, asked(), voice=None, timeout_s=0.5):
                pass
        await asyncio.wait_for(writer.cancelled.wait(), 5)
    assert raised.value.info().code == "deadline_exceeded"
