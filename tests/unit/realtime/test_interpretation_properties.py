"""What holds for a session that interprets, whatever happens in whatever order."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.realtime.interpreting.interpretation import STALL_MS
from services.realtime.session.commands import Respond, Say, Transcribe
from services.realtime.session.happenings import Ticked
from tests.unit.realtime.interpretation_talk import SILENT, VOICED, Talk

pytestmark = pytest.mark.unit

Action = Callable[[Talk], None]

_PCM = 96


def speak(frames: int) -> Action:
    return lambda talk: talk.hear([VOICED] * frames)


def pause(frames: int) -> Action:
    return lambda talk: talk.hear([SILENT] * frames)


def work(index: int, fails: bool, repeats: bool) -> Action:
    """Do a piece of the open work: texts say which utterance they are of, and so does the sound."""

    def act(talk: Talk) -> None:
        if not talk.open:
            return
        order = list(talk.open.values())[index % len(talk.open)]
        if fails:
            talk.fail(order)
        elif isinstance(order, Transcribe):
            mark = "e" if order.translate else "s"
            talk.recognise(order, f"{mark}{order.item_id.rpartition('_')[2]}", "fr")
        elif isinstance(order, Respond):
            talk.translate(order, f"e{order.response_id.rpartition('_')[2]}")
        else:
            sound = int(order.response_id.rpartition("_")[2]).to_bytes(2, "little") * _PCM
            had = talk.listened.count(sound[:2]) * 2 if not repeats else 0
            talk.sound(order, sound[had:], start=had)
            talk.finish(order)

    return act


def sound_a_little(length: int) -> Action:
    def act(talk: Talk) -> None:
        for order in talk.orders(Say):
            sound = int(order.response_id.rpartition("_")[2]).to_bytes(2, "little") * _PCM
            talk.sound(order, sound[: 2 * length], start=0)

    return act


def send(fields: dict[str, Any]) -> Action:
    def act(talk: Talk) -> None:
        talk.send(**fields)

    return act


def wait(talk: Talk) -> None:
    talk.now_ms += STALL_MS
    talk.step(Ticked())


def take_over(talk: Talk) -> None:
    talk.take_over()


def close(talk: Talk) -> None:
    talk.send("session.close")


updates = st.fixed_dictionaries(
    {},
    optional={
        "output": st.fixed_dictionaries({"language": st.sampled_from(["en", "es", "de", 7])}),
        "input": st.fixed_dictionaries({"transcription": st.sampled_from([None, {"model": "whisper-1"}, {}])}),
    },
).map(lambda audio: send({"type": "session.update", "session": {"audio": audio}}))
actions = st.one_of(
    st.integers(1, 60).map(speak),
    st.integers(1, 40).map(pause),
    st.builds(work, st.integers(0, 9), st.just(False), st.booleans()),
    st.builds(work, st.integers(0, 9), st.just(False), st.booleans()),
    st.builds(work, st.integers(0, 9), st.booleans(), st.booleans()),
    st.integers(1, _PCM).map(sound_a_little),
    st.just(take_over),
    st.just(wait),
    updates,
)
scripts = st.lists(actions, max_size=40)


def play(script: list[Action], *, handed_over: bool = False) -> Talk:
    """Play a script, close the session and do all work that is left."""
    talk = Talk(handed_over=handed_over)
    for action in (*script, close):
        action(talk)
    for _ in range(400):
        work(0, fails=False, repeats=True)(talk)
    return talk


def numbers(text: str, mark: str) -> list[int]:
    return [int(number) for number in re.findall(rf"{mark}(\d+)", text)]


def spoken(talk: Talk) -> list[int]:
    samples = memoryview(talk.listened).cast("H")
    return [sample for index, sample in enumerate(samples) if index == 0 or samples[index - 1] != sample]


@given(scripts)
@settings(max_examples=300, deadline=None)
def test_everything_is_told_once_in_order_and_the_end_last(script: list[Action]) -> None:
    talk = play(script)
    for told in (numbers(talk.read, "[es]"), numbers(talk.read_input, "s"), spoken(talk)):
        assert all(before < after for before, after in pairwise(told))
    assert set(spoken(talk)) <= set(numbers(talk.read, "[es]"))
    for kind in ("input_transcript", "output_transcript", "output_audio"):
        times = [event["elapsed_ms"] for event in talk.told(f"session.{kind}.delta")]
        assert times == sorted(times)
    assert talk.events[-1]["type"] == "session.closed"
    assert talk.ended == talk.commands[-1]
    assert not talk.open
    assert set(talk.kept) == {"session", "stream"}


@given(scripts)
@settings(max_examples=150, deadline=None)
def test_a_session_that_changes_hands_all_the_time_tells_the_same(script: list[Action]) -> None:
    assert play(script, handed_over=True).events == play(script).events


@given(scripts)
@settings(max_examples=100, deadline=None)
def test_all_that_is_spoken_is_whole_where_nothing_fails(script: list[Action]) -> None:
    talk = play(script)
    if not talk.errors:
        assert len(talk.listened) == 2 * _PCM * len(spoken(talk))
        assert spoken(talk) == numbers(talk.read, "[es]")
