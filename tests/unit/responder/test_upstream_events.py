"""Server-sent events out of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.responder.engines.upstream_errors import Broken
from services.responder.engines.upstream_events import Event, EventReader

pytestmark = pytest.mark.unit

STREAM = (
    "\ufeff: welcome\n\n"
    'data: {"a": "line\u2028separator\u0085\x0b\x0c"}\n\n'
    "event: error\ndata: one\ndata: two\nid: 7\nretry: 10\n\n"
    "data:no space\n\n"
    "data\n\n"
    ":\n\n"
    "event: nothing\n\n"
    'error: {"code": 500}\n\n'
    "data:  two spaces\n\n"
    "data: [DONE]\n\n"
)
EVENTS = [
    Event('{"a": "line\u2028separator\u0085\x0b\x0c"}'.encode()),
    Event(b"one\ntwo", "error"),
    Event(b"no space"),
    Event(b""),
    Event(b'{"code": 500}', "error"),
    Event(b" two spaces"),
    Event(b"[DONE]"),
]


@given(end=st.sampled_from(["\n", "\r\n", "\r"]), cuts=st.lists(st.integers(0, 300)))
def test_events_are_the_same_wherever_the_bytes_are_cut(end: str, cuts: list[int]) -> None:
    stream = STREAM.replace("\n", end).encode()
    reader, events, at = EventReader(), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        events += reader.feed(stream[at:cut])
        at = max(at, cut)
    assert events + reader.finish() == EVENTS


def test_single_bytes_make_the_same_events() -> None:
    for end in ("\n", "\r\n", "\r"):
        reader = EventReader()
        stream = STREAM.replace("\n", end).encode()
        events = [event for at in range(len(stream)) for event in reader.feed(stream[at : at + 1])]
        assert events == EVENTS


def test_an_event_comes_with_its_last_byte() -> None:
    reader = EventReader()
    assert reader.feed(b"data: x\r\n\r") == [Event(b"x")]
    assert reader.feed(b"\ndata: y\r\n\r\n") == [Event(b"y")]


def test_the_last_empty_line_may_be_missing() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\ndata: b") == []
    assert reader.finish() == [Event(b"a\nb")]
    assert reader.finish() == []


def test_a_line_without_an_end_is_given_up() -> None:
    reader = EventReader(limit_bytes=1000)
    with pytest.raises(Broken, match="more than 1000 bytes"):
        for _ in range(101):
            reader.feed(b"data: xxxx")


@pytest.mark.parametrize("line", [b"data: x\n", b"data\n"])
def test_an_event_of_endless_lines_is_given_up(line: bytes) -> None:
    reader = EventReader(limit_bytes=1000)
    with pytest.raises(Broken):
        for _ in range(2000):
            reader.feed(line)


def test_comments_without_end_are_not_kept() -> None:
    reader = EventReader(limit_bytes=1000)
    for _ in range(5000):
        assert reader.feed(b": keep-alive\n") == []
    assert reader.feed(b"data: x\n\n") == [Event(b"x")]
