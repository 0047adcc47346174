"""What the output of jobs means to a session, wherever it was interrupted."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.bus import OutputEvent
from antiphon.errors import AntiphonError, Failure
from antiphon.schemas import (
    BlobRef,
    Delta,
    EventKind,
    Outcome,
    Progress,
    RecognitionOptions,
    Reply,
    ReplyDelta,
    RespondJob,
    TextPart,
    Transcript,
    TranslateJob,
)
from antiphon.schemas.chat import Message
from services.realtime.driver.orders import Answer, Order, Recognition, Speech
from services.realtime.session.commands import Respond, Say, Transcribe
from services.realtime.session.happenings import Answered, Happening, Heard, HeardMore, Said, SaidUpTo, Sounded, Wrote

pytestmark = pytest.mark.unit

DONE = Outcome(id="x", status="completed", result={})


def read(order: Order, *events: tuple[EventKind, bytes], first: int = 0) -> list[Happening]:
    return [
        happening
        for seq, (kind, data) in enumerate(events, first)
        for happening in order.read(OutputEvent(kind, data, seq))
    ]


def outcome(result: Reply | Transcript) -> tuple[EventKind, bytes]:
    return "outcome", Outcome(id="x", status="completed", result=result.model_dump()).model_dump_json().encode()


def recognition(item_id: str = "item_1", *, translate: bool = False) -> Recognition:
    command = Transcribe(item_id, 0, 0, 16_000, "whisper-1", RecognitionOptions(), translate=translate)
    return Recognition(command, session_id="sess_1", tenant="t", audio=b"RIFF")


def said(text: str) -> tuple[EventKind, bytes]:
    return "delta", Delta(delta=text).model_dump_json().encode()


def wrote(text: str) -> tuple[EventKind, bytes]:
    return "delta", ReplyDelta(text=text).model_dump_json().encode()


def answer(after: int = 0) -> Answer:
    message = Message(role="user", content=(TextPart(text="Hi"),))
    job = RespondJob(id="resp_1", model="gpt", messages=(message,), restart=False)
    return Answer(Respond("resp_1", job, after=after), tenant="t")


def test_a_recogniser_that_begins_again_repeats_nothing() -> None:
    order = recognition()
    whole = Transcript(task="transcribe", language="en", duration=1.0, text="one two three")
    events = read(
        order, said("one"), said(" two"), ("reset", b""), said("one"), said(" two"), said(" three"), outcome(whole)
    )
    assert events == [
        HeardMore("item_1", 0, "one"),
        HeardMore("item_1", 0, " two"),
        HeardMore("item_1", 0, " three"),
        Heard("item_1", 0, whole),
    ]


def test_a_translation_is_another_job() -> None:
    assert isinstance(recognition(translate=True).job(BlobRef(uri="redis:x")), TranslateJob)


@given(st.text(min_size=1, max_size=200))
def test_any_id_of_an_item_gives_a_job_an_id_of_its_session(item_id: str) -> None:
    job = recognition(item_id).job(BlobRef(uri="redis:x"))
    assert re.fullmatch(r"sess_1\.[A-Za-z0-9_-]+\.0", job.id)


def test_pieces_of_an_answer_that_were_had_are_not_had_again() -> None:
    reply = Reply(text="abc")
    assert read(answer(after=2), wrote("a"), wrote("b"), wrote("c"), outcome(reply)) == [
        Wrote("resp_1", 2, ReplyDelta(text="c")),
        Answered("resp_1", reply),
    ]


def test_an_answer_that_begins_anew_fails_unless_nothing_of_it_was_told() -> None:
    assert read(answer(), ("reset", b""), wrote("a")) == [Wrote("resp_1", 1, ReplyDelta(text="a"))]
    with pytest.raises(Failure):
        read(answer(), wrote("a"), ("reset", b""))
    with pytest.raises(Failure):
        read(answer(after=1), wrote("a"), ("reset", b""))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(1, 12), st.integers(0, 20), st.integers(0, 30))
def test_sound_is_had_once_and_whole_however_often_it_is_begun(
    attempts: list[int], piece: int, after: int, more: int
) -> None:
    sound = bytes(range(after + more))
    pieces = [sound[at : at + piece] for at in range(0, len(sound), piece)]
    events: list[tuple[EventKind, bytes]] = []
    for length in attempts:
        events += [("audio", data) for data in pieces[:length]]
        events.append(("reset", b""))
    events += [("audio", data) for data in pieces]
    happenings = read(Speech(Say("resp_1", 0, "Hi", "tts", "alloy", 1.0, after=after), tenant="t"), *events)
    had = after
    for happening in happenings:
        assert isinstance(happening, Sounded)
        assert happening.start == had
        had += len(happening.pcm)
    assert sound[:after] + b"".join(_sound(happenings)) == sound


def test_progress_counts_for_the_sound_that_comes_next() -> None:
    def progress(done: int) -> tuple[EventKind, bytes]:
        return "progress", Progress(done=done, total=9).model_dump_json().encode()

    order = Speech(Say("resp_1", 0, "Hi there.", "tts", "alloy", 1.0, after=4), tenant="t")
    done: tuple[EventKind, bytes] = ("outcome", DONE.model_dump_json().encode())
    events = read(order, progress(0), ("audio", b"1234"), progress(3), ("audio", b"56"), progress(9), done)
    assert events == [
        SaidUpTo("resp_1", 0, 3),
        Sounded("resp_1", 0, 4, b"56"),
        SaidUpTo("resp_1", 0, 9),
        Said("resp_1", 0),
    ]


def test_a_job_that_failed_raises_its_error() -> None:
    failed = Outcome(id="x", status="failed", error=Failure("No.").info()).model_dump_json().encode()
    with pytest.raises(AntiphonError, match="No"):
        read(answer(), ("outcome", failed))


def _sound(happenings: Iterable[Happening]) -> list[bytes]:
    return [happening.pcm for happening in happenings if isinstance(happening, Sounded)]
