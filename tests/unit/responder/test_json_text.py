"""JSON is read while it is being written, wherever it is cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.responder.engines.json_text import StringReader, ValueReader

pytestmark = pytest.mark.unit

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def cut(text: str, places: Iterable[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


CUTS = st.lists(st.integers(min_value=0), max_size=8)


@given(value=st.text(), ascii_only=st.booleans(), places=CUTS)
def test_a_string_comes_out_as_it_was_written_wherever_it_is_cut(
    value: str, ascii_only: bool, places: list[int]
) -> None:
    reader = StringReader()
    written = json.dumps(value, ensure_ascii=ascii_only)[1:] + "}\n"
    read = [reader.feed(piece) for piece in cut(written, places)]
    assert "".join(text for text, _ in read) == value
    assert "".join(rest for _, rest in read) == "}\n"
    assert reader.done


@given(places=CUTS)
def test_a_pair_of_surrogates_is_one_character_wherever_it_is_cut(places: list[int]) -> None:
    reader = StringReader()
    assert "".join(reader.feed(piece)[0] for piece in cut(r"a\ud83d\ude00b", places)) == "a\U0001f600b"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'\ud83d"', "\ufffd"),
        (r'\ude00"', "\ufffd"),
        (r'\ud83dx"', "\ufffdx"),
        (r'\ud83d\n"', "\ufffd\n"),
        (r'\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
    ],
)
def test_half_a_character_is_replaced(written: str, read: str) -> None:
    reader = StringReader()
    text = "".join(reader.feed(char)[0] for char in written)
    assert text == read
    text.encode()


def test_an_escape_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="escape"):
        StringReader().feed(r"\x")


@given(value=VALUES, places=CUTS, after=st.sampled_from(["}", "}\n{", ', "more": 1}']))
def test_a_value_ends_where_it_ends_wherever_it_is_cut(value: object, places: list[int], after: str) -> None:
    reader = ValueReader()
    written = json.dumps(value)
    read = [reader.feed(piece) for piece in cut(written + after, places)]
    assert "".join(text for text, _ in read) == written
    assert "".join(rest for _, rest in read) == after
    assert reader.done
