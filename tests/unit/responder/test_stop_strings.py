"""Stop strings never come out, and nothing else is held back for longer than needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.responder.engines.stop_strings import StopStrings

pytestmark = pytest.mark.unit

LETTERS = st.text(alphabet="ab\n", max_size=12)


@given(pieces=st.lists(LETTERS), stops=st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=4))
def test_the_text_ends_where_the_first_stop_string_begins(pieces: list[str], stops: list[str]) -> None:
    stopping = StopStrings(stops)
    shown = ""
    for piece in pieces:
        shown += stopping.feed(piece)
        assert not any(stop in shown for stop in stops)
    whole = "".join(pieces)
    if stopping.met:
        assert any(whole[len(shown) :].startswith(stop) for stop in stops)
        assert stopping.flush() == ""
    else:
        assert not any(stop in whole for stop in stops)
        assert shown + stopping.flush() == whole


@given(text=LETTERS)
def test_without_stop_strings_everything_comes_at_once(text: str) -> None:
    assert StopStrings([]).feed(text) == text


def test_only_what_may_become_a_stop_string_waits() -> None:
    stopping = StopStrings(["END"])
    assert stopping.feed("the E") == "the "
    assert stopping.feed("N") == ""
    assert stopping.feed("emy") == "ENemy"
    assert not stopping.met
    assert stopping.feed(" END of it") == " "
    assert stopping.met
    assert stopping.feed("more") == ""
