"""An answer with a form is read while it is written, and nothing but that form gets through."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas import ReplyFormat, Tool, ToolChoice
from services.responder.engines.answer_form import AnswerForm, answer_form
from services.responder.engines.byte_grammar import Grammars
from services.responder.engines.form_reader import FormBroken, FormReader
from services.responder.engines.language_model import CallPiece, TextPiece

pytestmark = pytest.mark.unit

TOOLS = (
    Tool(name="get", parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
    Tool(name="get_all"),
    Tool(name="count", parameters={"type": "object", "properties": {"to": {"type": "integer", "maximum": 99}}}),
)


def form(*, choice: ToolChoice | None = None, parallel: bool = True, format: ReplyFormat | None = None) -> AnswerForm:
    return answer_form(
        TOOLS, choice=choice or ToolChoice(), parallel=parallel, format=format or ReplyFormat(), grammars=Grammars()
    )


def read(reader: FormReader, pieces: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the text that was said, and the functions that were called with their arguments."""
    text, calls = "", list[tuple[str, str]]()
    for piece in pieces:
        for found in reader.feed(piece):
            if isinstance(found, TextPiece):
                text += found.text
            elif found.id is not None:
                assert re.fullmatch(r"call_[A-Za-z0-9]{24}", found.id)
                assert found.index == len(calls)
                calls.append((found.name or "", found.arguments))
            else:
                assert isinstance(found, CallPiece) and found.index == len(calls) - 1
                name, arguments = calls[-1]
                calls[-1] = (name, arguments + found.arguments)
    return text, calls


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


# What the grammar of a string lets through: control characters alone are escaped by their number.
SAYINGS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('"\\\n\t'))


@given(saying=SAYINGS, places=st.lists(st.integers(min_value=0), max_size=8))
def test_an_answer_is_read_wherever_it_is_cut(saying: str, places: list[int]) -> None:
    reader = FormReader(form())
    written = json.dumps({"answer": saying}, ensure_ascii=False)
    assert read(reader, cut(written, places)) == (saying, [])
    reader.finish()
    assert reader.calls == 0


@given(city=SAYINGS, to=st.integers(max_value=99), places=st.lists(st.integers(min_value=0), max_size=8))
def test_calls_are_read_wherever_they_are_cut(city: str, to: int, places: list[int]) -> None:
    reader = FormReader(form())
    calls = [("get", {"city": city}), ("get_all", {}), ("count", {"to": to})]
    written = "\n".join(json.dumps({"function": name, "arguments": given}, ensure_ascii=False) for name, given in calls)
    text, found = read(reader, cut(written, places))
    assert text == ""
    assert [(name, json.loads(arguments)) for name, arguments in found] == calls
    reader.finish()
    assert reader.calls == 3


@pytest.mark.parametrize(
    "written",
    [
        "Hello",
        '{ "answer": "x"}',
        '{"answer": 5}',
        '{"function": "nothing", "arguments": {}}',
        '{"function": "get", "arguments": {}}',
        '{"function": "get", "arguments": {"city": "Oslo", "unit": "c"}}',
        '{"function": "count", "arguments": {"to": 100}}',
        '{"answer": "x"}\n{"answer": "y"}',
        '{"answer": "x"} and more',
    ],
)
def test_what_leaves_the_form_does_not_get_through(written: str) -> None:
    with pytest.raises(FormBroken):
        read(FormReader(form()), list(written))


def test_an_answer_that_is_cut_short_is_told() -> None:
    reader = FormReader(form())
    read(reader, ['{"function": "get", "arguments": {"city": "Os'])
    with pytest.raises(FormBroken):
        reader.finish()


def test_one_call_is_one_call() -> None:
    call = '{"function": "get_all", "arguments": {}}'
    assert read(FormReader(form(parallel=False)), [call])[1] == [("get_all", "{}")]
    with pytest.raises(FormBroken):
        read(FormReader(form(parallel=False)), [f"{call}\n{call}"])


def test_only_what_was_chosen_can_be_called() -> None:
    named = form(choice=ToolChoice(mode="required", names=("count",)))
    assert read(FormReader(named), ['{"function": "count", "arguments": {}}'])[1] == [("count", "{}")]
    for written in ('{"answer": "no"}', '{"function": "get_all", "arguments": {}}'):
        with pytest.raises(FormBroken):
            read(FormReader(named), [written])
    with pytest.raises(FormBroken):
        read(FormReader(form(choice=ToolChoice(mode="none"))), ['{"function": "get_all", "arguments": {}}'])


@given(
    places=st.lists(st.integers(min_value=0), max_size=8),
    value=st.dictionaries(st.text("abc}", min_size=1), st.integers() | st.booleans()),
)
def test_an_answer_that_is_json_is_given_as_it_is(places: list[int], value: dict[str, object]) -> None:
    reader = FormReader(form(format=ReplyFormat(type="json_object")))
    written = json.dumps(value)
    assert read(reader, cut(f'{{"answer": {written}}}', places)) == (written, [])
    reader.finish()


def test_without_tools_the_whole_text_is_the_answer() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    format = ReplyFormat(type="json_schema", json_schema=schema)
    held = answer_form((), choice=ToolChoice(), parallel=True, format=format, grammars=Grammars())
    assert read(FormReader(held), ['{"n"', ": 5}"]) == ('{"n": 5}', [])
    with pytest.raises(FormBroken):
        read(FormReader(held), ['{"n": "5"}'])
    free = answer_form((), choice=ToolChoice(), parallel=True, format=ReplyFormat(), grammars=Grammars())
    assert read(FormReader(free), ["any", "thing {"]) == ("anything {", [])
